package sigv4_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/services/fronts/aws/sigv4"
)

// The access key of AWS's published examples.
const (
	exampleID     = "AKIDEXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

func exampleKey(id string) (string, bool) { return exampleSecret, id == exampleID }

// parse reads a request as net/http's server does.
func parse(t testing.TB, raw []byte) (*http.Request, []byte) {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, body
}

// nameOf is AWS's name of an error, empty for nil.
func nameOf(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var e *sigv4.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is a %T", err, err)
	}
	return e.Name
}

// Requests of AWS's published test suite (aws-sig-v4-test-suite): us-east-1, service, 2015-08-30T12:36:00Z.
func TestAWSsPublishedVectorsPass(t *testing.T) {
	const (
		unreserved = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		emptyHash  = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	)
	for _, c := range []struct {
		name, method, target string
		headers              string // name:value, with newlines between them
		body                 string
		signed, signature    string
	}{
		{"get-vanilla", "GET", "/", "", "", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"post-vanilla", "POST", "/", "", "", "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"get-unreserved", "GET", "/" + unreserved, "", "", "host;x-amz-date", "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
		{"get-utf8", "GET", "/ሴ", "", "", "host;x-amz-date", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
		{"get-space-unnormalized", "GET", "/example space/", "X-Amz-Content-Sha256:" + emptyHash, "", "host;x-amz-date", "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
		{"get-slashes-unnormalized", "GET", "//example//", "", "", "host;x-amz-date", "87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5"},
		{"get-vanilla-empty-query-key", "GET", "/?Param1=value1", "", "", "host;x-amz-date", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
		{"get-vanilla-query-unreserved", "GET", "/?" + unreserved + "=" + unreserved, "", "", "host;x-amz-date", "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
		{"get-vanilla-query-order-encoded", "GET", "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1", "", "", "host;x-amz-date", "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac"},
		{"get-vanilla-utf8-query", "GET", "/?ሴ=bar", "", "", "host;x-amz-date", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
		{"get-vanilla-with-session-token", "GET", "/", "X-Amz-Security-Token:6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267", "", "host;x-amz-date;x-amz-security-token", "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"},
		{"get-header-key-duplicate", "GET", "/", "My-Header1:value2\nMy-Header1:value2\nMy-Header1:value1", "", "host;my-header1;x-amz-date", "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
		{"get-header-value-trim", "GET", "/", "My-Header1: value1\nMy-Header2: \"a   b   c\"", "", "host;my-header1;my-header2;x-amz-date", "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
		{"post-x-www-form-urlencoded", "POST", "/", "Content-Type:application/x-www-form-urlencoded\nContent-Length:13\nX-Amz-Content-Sha256:9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e", "Param1=value1", "content-length;content-type;host;x-amz-content-sha256;x-amz-date", "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b"},
	} {
		r := httptest.NewRequest(c.method, "/", nil)
		r.RequestURI, r.Host = c.target, "example.amazonaws.com"
		for line := range strings.SplitSeq(c.headers, "\n") {
			if name, value, ok := strings.Cut(line, ":"); ok {
				r.Header.Add(name, value)
			}
		}
		r.Header.Set("X-Amz-Date", "20150830T123600Z")
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders="+c.signed+", Signature="+c.signature)
		at := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
		id, err := sigv4.Verify(r, []byte(c.body), at, exampleKey)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if id.AccessKeyID != exampleID || id.Region != "us-east-1" || id.Service != "service" || id.Signature != c.signature ||
			strings.Join(id.SignedHeaders, ";") != c.signed || !id.At.Equal(at) {
			t.Errorf("%s: %+v", c.name, id)
		}
	}
}

// What AWS's command line and SDKs sent to a server that wrote it down, byte for byte but for the tail of User-Agent.
func recorded(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/recorded/*.http")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d recorded requests, %v", len(files), err)
	}
	requests := map[string][]byte{}
	for _, f := range files {
		if requests[filepath.Base(f)], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	return requests
}

// dateOf is when a request was signed.
func dateOf(t *testing.T, r *http.Request) time.Time {
	t.Helper()
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestWhatClientsSendPasses(t *testing.T) {
	services := map[string]bool{}
	for name, raw := range recorded(t) {
		r, body := parse(t, raw)
		id, err := sigv4.Verify(r, body, dateOf(t, r), exampleKey)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		services[id.Service] = true
	}
	if !services["iot"] || !services["iot-jobs-data"] {
		t.Errorf("services: %v", services)
	}
}

func TestASignatureIsGoodForFiveMinutesBothWays(t *testing.T) {
	for name, raw := range recorded(t) {
		r, body := parse(t, raw)
		for _, c := range []struct {
			skew time.Duration
			want string
		}{
			{0, ""}, {5 * time.Minute, ""}, {-5 * time.Minute, ""},
			{5*time.Minute + 1, sigv4.InvalidSignature}, {-5*time.Minute - 1, sigv4.InvalidSignature},
			{24 * time.Hour, sigv4.InvalidSignature}, {-24 * time.Hour, sigv4.InvalidSignature},
		} {
			_, err := sigv4.Verify(r, body, dateOf(t, r).Add(c.skew), exampleKey)
			if nameOf(t, err) != c.want {
				t.Errorf("%s, %v off: %v", name, c.skew, err)
			}
			if err == nil {
				continue
			}
			if word := map[bool]string{true: "expired", false: "not yet current"}[c.skew > 0]; !strings.Contains(err.Error(), word) {
				t.Errorf("%s, %v off: %v", name, c.skew, err)
			}
		}
	}
}

// Whatever changes in a recorded request, within its method, target, signed headers or body, it is refused.
func TestEveryChangedByteIsRefused(t *testing.T) {
	for name, raw := range recorded(t) {
		r, body := parse(t, raw)
		at := dateOf(t, r)
		head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
		for i := range raw {
			if i >= len(head) && i < len(head)+4 {
				continue // the end of a line
			}
			changed := bytes.Clone(raw)
			changed[i] ^= 1
			if string(changed[i]) == "\r" || string(changed[i]) == "\n" || unsignedAt(raw, i) {
				continue
			}
			r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(changed)))
			if err != nil {
				continue // it is no request any more
			}
			rest, _ := io.ReadAll(r.Body)
			if id, err := sigv4.Verify(r, rest, at, exampleKey); err == nil {
				t.Errorf("%s: byte %d changed to %q, and it passed: %q, %+v", name, i, changed[i], lineAt(changed, i), id)
			}
		}
		if _, err := sigv4.Verify(r, append(body, ' '), at, exampleKey); nameOf(t, err) != sigv4.InvalidSignature {
			t.Errorf("%s: a longer body: %v", name, err)
		}
	}
}

// lineAt is the line of a request that holds byte i.
func lineAt(raw []byte, i int) string {
	start := bytes.LastIndexByte(raw[:i], '\n') + 1
	line, _, _ := bytes.Cut(raw[start:], []byte("\r"))
	return string(line)
}

// unsignedAt says whether byte i of a request lies where a change means nothing: in a header that is not signed, in the
// version of HTTP, or in what stands between the parts of a header.
func unsignedAt(raw []byte, i int) bool {
	switch {
	case i < bytes.IndexByte(raw, '\n'):
		return i >= bytes.Index(raw, []byte(" HTTP/1.1"))
	case i >= bytes.Index(raw, []byte("\r\n\r\n")):
		return false
	}
	name, _, _ := strings.Cut(strings.ToLower(lineAt(raw, i)), ":")
	if name == "authorization" {
		return raw[i] == ' ' || raw[i] == ','
	}
	_, list, _ := strings.Cut(string(raw), "SignedHeaders=")
	signed, _, _ := strings.Cut(list, ",")
	return !slices.Contains(strings.Split(signed, ";"), name)
}
