package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestADocumentIsRefusedAtTheByteThatIsWrong(t *testing.T) {
	tests := []struct {
		name, text string
		problem    Problem
		offset     int
	}{
		{"empty", "", Empty, 0},
		{"only space", "  ", NotJSON, 2},
		{"no JSON", "reboot", NotJSON, 0},
		{"a word cut short", "tru", NotJSON, 3},
		{"two values", "{} {}", NotJSON, 3},
		{"a comma too many in an object", `{"a":1,}`, NotJSON, 7},
		{"a comma too many in an array", `[1,]`, NotJSON, 3},
		{"no colon", `{"a" 1}`, NotJSON, 5},
		{"a name without quotes", `{a:1}`, NotJSON, 1},
		{"an object that does not end", `{"a":1`, NotJSON, 6},
		{"a string that does not end", `"abc`, NotJSON, 4},
		{"a line end in a string", "\"a\nb\"", NotJSON, 2},
		{"a bad escape", `"\x"`, NotJSON, 2},
		{"three hexadecimal digits", `"\u12g4"`, NotJSON, 5},
		{"a leading zero", "01", NotJSON, 1},
		{"a point without digits", "[1.]", NotJSON, 3},
		{"an exponent without digits", "1e+", NotJSON, 3},
		{"a minus alone", "-", NotJSON, 1},
		{"a byte order mark", "\ufeff{}", NotJSON, 0},
		{"a zero byte", "{}\x00", NotJSON, 2},
		{"not UTF-8", "\"a\xffb\"", NotUTF8, 2},
		{"a surrogate half in UTF-8", "\"\xed\xa0\x80\"", NotUTF8, 1},
		{"too long", `"` + strings.Repeat("a", BytesMax) + `"`, TooLong, BytesMax + 2},
		{"too deep", strings.Repeat("[", DepthMax+1), TooDeep, DepthMax},
		{"10,000 deep", strings.Repeat(`{"a":`, 5000), TooDeep, 5 * DepthMax},
		{"a placeholder", `{"url":"${aws:iot:s3-presigned-url:x}"}`, Placeholder, 8},
		{"a placeholder in a name", `{"${aws:iot:parameter:p}":1}`, Placeholder, 2},
		{"a placeholder with an escaped dollar", `["\u0024{aws:iot:p}"]`, Placeholder, 2},
		{"a placeholder with an escaped letter", `["a${\u0061ws:iot:p}"]`, Placeholder, 3},
		{"a placeholder after a false start", `["$${aws:io${aws:iot:p}"]`, Placeholder, 11},
		{"the first of two placeholders", `["${aws:iot:p}","${aws:iot:q}"]`, Placeholder, 2},
		{"bad syntax before a placeholder is named", `["${aws:iot:p}"`, NotJSON, 15},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got *Error
			if err := Check([]byte(test.text)); !errors.As(err, &got) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if got.Problem != test.problem || got.Offset != test.offset {
				t.Errorf("got problem %d at byte %d (%v), want %d at %d", got.Problem, got.Offset, got, test.problem, test.offset)
			}
		})
	}
}

func TestADocumentIsAnyJSONValueWithinTheLimits(t *testing.T) {
	for _, text := range []string{
		"{}", " [ ] ", "null", "true", "false", "0", "-0.5e-10", "1E5", `"é😀"`, `"\ud83d\ude00\"\\\/\b\f\n\r\t"`,
		`{"operation":"install","files":[{"name":"a","size":12}],"${local}":"$"}`,
		`"` + strings.Repeat("a", BytesMax-2) + `"`,
		strings.Repeat("[", DepthMax) + strings.Repeat("]", DepthMax),
		`["${aws:io","t:"]`,
	} {
		if err := Check([]byte(text)); err != nil {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}

// FuzzCheck holds Check against encoding/json: within the limits they accept the same texts.
func FuzzCheck(f *testing.F) {
	for _, text := range []string{`{"a":[1,2.5e3,"x\u0041",null,true]}`, `"\ud800"`, `["${aws:iot:p}"]`, "[[[[]]]]", "\"\xff\"", "1 2"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		want := len(text) <= BytesMax && utf8.Valid(text) && json.Valid(text) && plain(text)
		if err := Check(text); (err == nil) != want {
			t.Fatalf("%q: got %v, encoding/json within the limits accepts it: %v", text, err, want)
		}
	})
}

// plain says of valid JSON that it is not too deep and that no string in it, as parsed, holds the marker.
func plain(text []byte) bool {
	depth := 0
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	for {
		token, err := d.Token()
		if err == io.EOF {
			return true
		}
		if err != nil {
			return false
		}
		switch v := token.(type) {
		case string:
			if strings.Contains(v, marker) {
				return false
			}
		case json.Delim:
			if v == '{' || v == '[' {
				depth++
			} else {
				depth--
			}
			if depth > DepthMax {
				return false
			}
		}
	}
}
