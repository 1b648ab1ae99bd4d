package document

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestParametersAreSubstitutedInStringsAlone(t *testing.T) {
	values := map[string]string{"a": "x", "q": `he said "no"\`, "none": "", "p": "${aws:iot:parameter:a}", "html": "<&>"}
	for _, test := range []struct{ text, want string }{
		{`{ "k" : ["${aws:iot:parameter:a}", 1.0] }`, `{ "k" : ["x", 1.0] }`},
		{`"a${aws:iot:parameter:a}b${aws:iot:parameter:a}c"`, `"axbxc"`},
		{`"${aws:iot:parameter:none}"`, `""`},
		{`"${aws:iot:parameter:q}"`, `"he said \"no\"\\"`},
		{`"${aws:iot:parameter:html}"`, `"<&>"`},
		{`{"${aws:iot:parameter:a}":"\u0041 \"${aws:iot:parameter:a}\""}`, `{"x":"A \"x\""}`},
		{`["\u0024{aws:iot:parameter:a}"]`, `["x"]`},
		{`"${aws:iot:parameter:p}"`, `"${aws:iot:parameter:a}"`},
		{`{"escaped":"\u0041\\"}`, `{"escaped":"\u0041\\"}`},
	} {
		got, err := Substitute([]byte(test.text), func(n string) (string, bool) { v, ok := values[n]; return v, ok })
		if err != nil || string(got) != test.want {
			t.Errorf("%s: got %s, %v; want %s", test.text, got, err, test.want)
		}
	}
	for text, says := range map[string]string{`"${aws:iot:parameter:b}"`: "no parameter", `"${aws:iot:parameter:a"`: "does not end", `"${aws:iot:parameter:a`: "not JSON"} {
		if _, err := Substitute([]byte(text), func(n string) (string, bool) { v, ok := values[n]; return v, ok }); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Whatever the value, the text stays JSON, and read back it holds the value.
func FuzzSubstitute(f *testing.F) {
	for _, v := range []string{"x", `"`, `\`, "</script>", "\u2028", "${aws:iot:parameter:a}", "}"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		text, err := Substitute([]byte(`{"a": ["<${aws:iot:parameter:a}>"]}`), func(string) (string, bool) { return v, true })
		if err != nil {
			t.Fatal(err)
		}
		var got map[string][]string
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if want := "<" + strings.ToValidUTF8(v, "\uFFFD") + ">"; len(got["a"][0]) == 0 || strings.ToValidUTF8(v, "") == v && got["a"][0] != want {
			t.Fatalf("got %q, want %q", got["a"][0], want)
		}
	})
}
