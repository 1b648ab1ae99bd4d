package sigv4_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/droverhq/drover/services/fronts/aws/sigv4"
)

func TestWhatIsNotSignedAsItShouldIsRefusedByName(t *testing.T) {
	edit := func(header, old, new string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(header, strings.Replace(r.Header.Get(header), old, new, 1)) }
	}
	add := func(header, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Add(header, value) }
	}
	sub := func(old, new string) func(*http.Request) { return edit("Authorization", old, new) }
	scope := "/20260228/eu-central-1/iot/aws4_request"
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		want   string
		says   string
	}{
		{"as it was", func(*http.Request) {}, "", ""},
		{"spaces and order of the parts", func(r *http.Request) {
			_, parts, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			p := strings.Split(parts, ", ")
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256   "+p[2]+" ,"+p[0]+","+p[1])
		}, "", ""},
		{"unsigned headers of proxies and SDKs", func(r *http.Request) {
			r.Header.Set("X-Amzn-Trace-Id", "Root=1")
			r.Header.Set("X-Amz-Cf-Id", "x")
			r.Header.Set("X-Amz-User-Agent", "x")
			r.Header.Set("Amz-Sdk-Invocation-Id", "x")
			r.Header.Set("Date", "yesterday")
		}, "", ""},

		{"no header", func(r *http.Request) { r.Header.Del("Authorization") }, sigv4.MissingAuthenticationToken, "drover credential create"},
		{"a presigned URL", func(r *http.Request) {
			r.Header.Del("Authorization")
			r.RequestURI += "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00"
		}, sigv4.IncompleteSignature, "presigned"},
		{"two headers", add("Authorization", "x"), sigv4.IncompleteSignature, "several"},
		{"the same header twice", func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, sigv4.IncompleteSignature, "several"},
		{"an empty header", func(r *http.Request) { r.Header.Set("Authorization", "") }, sigv4.IncompleteSignature, "begin with"},
		{"a password", func(r *http.Request) { r.SetBasicAuth("a", "b") }, sigv4.IncompleteSignature, "begin with"},
		{"another algorithm", sub("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), sigv4.IncompleteSignature, "AWS4-HMAC-SHA256"},
		{"the algorithm alone", func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256") }, sigv4.IncompleteSignature, "Credential"},
		{"no credential", sub("Credential="+exampleID+scope+", ", ""), sigv4.IncompleteSignature, "'Credential'"},
		{"no signed headers", sub("SignedHeaders=", "Headers="), sigv4.IncompleteSignature, "each once"},
		{"no signature", func(r *http.Request) {
			text, _, _ := strings.Cut(r.Header.Get("Authorization"), ", Signature=")
			r.Header.Set("Authorization", text)
		}, sigv4.IncompleteSignature, "'Signature'"},
		{"a part twice", sub("Credential=", "Credential=x, Credential="), sigv4.IncompleteSignature, "each once"},
		{"an empty part first", sub("Credential=", "Credential=, Credential="), sigv4.IncompleteSignature, "each once"},
		{"an unknown part", sub("Credential=", "Realm=x, Credential="), sigv4.IncompleteSignature, "nothing else"},
		{"a comma at the end", func(r *http.Request) { r.Header.Set("Authorization", r.Header.Get("Authorization")+",") }, sigv4.IncompleteSignature, "nothing else"},
		{"a short credential", sub("/iot/", "/"), sigv4.IncompleteSignature, "Credential must be"},
		{"a long credential", sub(exampleID+"/", exampleID+"/x/"), sigv4.IncompleteSignature, "Credential must be"},
		{"no key id", sub(exampleID, ""), sigv4.IncompleteSignature, "Credential must be"},
		{"a region that is none", sub("eu-central-1", "eu*"), sigv4.IncompleteSignature, "Credential must be"},
		{"another end of the scope", sub("aws4_request", "aws5_request"), sigv4.InvalidSignature, "terminator"},
		{"a short signature", sub("Signature=", "Signature=00, x="), sigv4.IncompleteSignature, "nothing else"},
		{"a signature in capitals", func(r *http.Request) {
			text, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", text+"Signature="+strings.ToUpper(signature))
		}, sigv4.IncompleteSignature, "lower-case"},
		{"signed headers in capitals", sub("host", "Host"), sigv4.IncompleteSignature, "sorted"},
		{"signed headers out of order", sub("host;my-header", "my-header;host"), sigv4.IncompleteSignature, "sorted"},
		{"a signed header twice", sub("host;", "host;host;"), sigv4.IncompleteSignature, "sorted"},
		{"an empty signed header", sub("host;", "host;;"), sigv4.IncompleteSignature, "sorted"},

		{"the host unsigned", sub("host;", ""), sigv4.IncompleteSignature, "'Host'"},
		{"the date unsigned", sub(";x-amz-date", ""), sigv4.IncompleteSignature, "'X-Amz-Date'"},
		{"no date", func(r *http.Request) { r.Header.Del("X-Amz-Date") }, sigv4.IncompleteSignature, "existence"},
		{"two dates", add("X-Amz-Date", "20260228T235959Z"), sigv4.IncompleteSignature, "existence"},
		{"a date that is none", edit("X-Amz-Date", "T23", "T24"), sigv4.IncompleteSignature, "20150830T123600Z"},
		{"a date of HTTP in X-Amz-Date", func(r *http.Request) { r.Header.Set("X-Amz-Date", signedAt.Format(http.TimeFormat)) }, sigv4.IncompleteSignature, "20150830T123600Z"},
		{"another day", sub("/20260228/", "/20260227/"), sigv4.InvalidSignature, "YYYYMMDD"},
		{"a header of AWS's, unsigned", add("X-Amz-Target", "x"), sigv4.IncompleteSignature, "'X-Amz-Target'"},
		{"a session token, unsigned", add("X-Amz-Security-Token", "x"), sigv4.IncompleteSignature, "'X-Amz-Security-Token'"},
		{"a signed header that is not there", func(r *http.Request) { r.Header.Del("My-Header") }, sigv4.InvalidSignature, "'my-header'"},
		{"a body that is not signed", add("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), sigv4.InvalidSignature, "UNSIGNED-PAYLOAD"},
		{"a body in chunks", add("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), sigv4.InvalidSignature, "chunks"},
		{"a query that is none", func(r *http.Request) { r.RequestURI += "?a=%zz" }, sigv4.InvalidSignature, "malformed"},
		{"a whole URL as the target", func(r *http.Request) { r.RequestURI = "http://127.0.0.1:8080" + r.RequestURI }, sigv4.InvalidSignature, "path"},

		{"another region", sub("eu-central-1", "eu-west-1"), sigv4.InvalidSignature, "does not match"},
		{"another service", sub("/iot/", "/iot-jobs-data/"), sigv4.InvalidSignature, "does not match"},
		{"another path", func(r *http.Request) { r.RequestURI = "/things/b" }, sigv4.InvalidSignature, "does not match"},
		{"the path encoded in another way", func(r *http.Request) { r.RequestURI = "/things/%61" }, sigv4.InvalidSignature, "does not match"},
		{"a query", func(r *http.Request) { r.RequestURI += "?force=true" }, sigv4.InvalidSignature, "does not match"},
		{"another method", func(r *http.Request) { r.Method = "DELETE" }, sigv4.InvalidSignature, "does not match"},
		{"another host", func(r *http.Request) { r.Host = "example.org" }, sigv4.InvalidSignature, "does not match"},
		{"another length", func(r *http.Request) { r.Header.Set("Content-Length", "3") }, sigv4.InvalidSignature, "does not match"},
		{"another signed header", func(r *http.Request) { r.Header.Set("My-Header", "b") }, sigv4.InvalidSignature, "does not match"},
		{"another key", sub(exampleID, "AKIDANOTHER"), sigv4.UnrecognizedClient, "drover credential list"},
	} {
		r, body := signed(t, "PATCH", "/things/a", "{}", func(r *http.Request) { r.Header.Set("My-Header", "a") })
		c.change(r)
		_, err := sigv4.Verify(r, body, signedAt, exampleKey)
		if nameOf(t, err) != c.want || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %s … %s", c.name, err, c.want, c.says)
		}
		if err != nil && strings.Contains(err.Error(), exampleSecret) {
			t.Errorf("%s: the error tells the secret", c.name)
		}
	}
}

// Whoever knows what an unknown key is replaced by gains nothing.
func TestNobodySignsWithAnUnknownKey(t *testing.T) {
	for _, secret := range []string{"", strings.Repeat("0", 40), exampleSecret} {
		r, body := signedBy(t, "AKIDANOTHER", secret, "GET", "/jobs", "", nil)
		if _, err := sigv4.Verify(r, body, signedAt, exampleKey); nameOf(t, err) != sigv4.UnrecognizedClient {
			t.Errorf("%q: %v", secret, err)
		}
	}
}

func TestTheDateHeaderStandsInForXAmzDate(t *testing.T) {
	for _, c := range []struct{ date, want string }{
		{"Sat, 28 Feb 2026 23:59:59 GMT", ""}, {"20260228T235959Z", ""},
		{"Saturday, 28-Feb-26 23:59:59 GMT", sigv4.IncompleteSignature}, {"2026-02-28", sigv4.IncompleteSignature},
		{"Sat, 28 Feb 2026 23:59:58 GMT", sigv4.InvalidSignature},
	} {
		r := dated(t, c.date)
		if id, err := sigv4.Verify(r, nil, signedAt, exampleKey); nameOf(t, err) != c.want || err == nil && !id.At.Equal(signedAt) {
			t.Errorf("%s: %+v, %v, want %s", c.date, id, err, c.want)
		}
	}
}

// dated is GET / of 127.0.0.1 with a Date header, signed by the steps of the specification for signedAt.
func dated(t *testing.T, date string) *http.Request {
	t.Helper()
	hash := func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }
	sign := func(key, s string) string {
		h := hmac.New(sha256.New, []byte(key))
		h.Write([]byte(s))
		return string(h.Sum(nil))
	}
	canonical := "GET\n/\n\ndate:" + date + "\nhost:127.0.0.1\n\ndate;host\n" + hash("")
	key := sign(sign(sign(sign("AWS4"+exampleSecret, "20260228"), "eu-central-1"), "iot"), "aws4_request")
	signature := sign(key, "AWS4-HMAC-SHA256\n20260228T235959Z\n20260228/eu-central-1/iot/aws4_request\n"+hash(canonical))
	return &http.Request{Method: "GET", RequestURI: "/", Host: "127.0.0.1", Header: http.Header{
		"Date": {date},
		"Authorization": {"AWS4-HMAC-SHA256 Credential=" + exampleID + "/20260228/eu-central-1/iot/aws4_request, SignedHeaders=date;host, Signature=" +
			hex.EncodeToString([]byte(signature))},
	}}
}

// Whatever the headers hold, the answer is an error with one of the four names.
func FuzzVerifyNeverPanics(f *testing.F) {
	r, _ := signed(f, "GET", "/jobs?a=b", "", nil)
	f.Add(r.Header.Get("Authorization"), r.Header.Get("X-Amz-Date"), "", r.RequestURI, "")
	f.Add("AWS4-HMAC-SHA256 Credential=////,SignedHeaders=;,Signature==", "", "Sat, 28 Feb 2026 23:59:59 GMT", "/?=&;", "x")
	f.Add("AWS4-HMAC-SHA256 Credential=a/20260228/b/c/aws4_request,SignedHeaders=date;host,Signature="+strings.Repeat("0", 64), "", "20260228T235959Z", "", "")
	f.Fuzz(func(t *testing.T, authorization, amzDate, date, target, hash string) {
		r := &http.Request{Method: "GET", RequestURI: target, Header: http.Header{"Authorization": {authorization}}}
		for name, value := range map[string]string{"X-Amz-Date": amzDate, "Date": date, "X-Amz-Content-Sha256": hash} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		switch _, err := sigv4.Verify(r, nil, signedAt, func(string) (string, bool) { return "", false }); nameOf(t, err) {
		case sigv4.IncompleteSignature, sigv4.InvalidSignature, sigv4.UnrecognizedClient:
		default:
			t.Errorf("%q: %v", authorization, err)
		}
	})
}
