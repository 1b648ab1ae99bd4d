package sigv4_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/droverhq/drover/services/fronts/aws/sigv4"
)

// What arrives at net/http's server is what was signed, by both versions of HTTP.
func TestWhatNetHTTPHandsOnPasses(t *testing.T) {
	for _, version2 := range []bool{false, true} {
		var proto string
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			proto = r.Proto
			body, err := io.ReadAll(r.Body)
			if err == nil {
				_, err = sigv4.Verify(r, body, signedAt, exampleKey)
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusForbidden)
			}
		}))
		s.EnableHTTP2 = version2
		s.StartTLS()
		t.Cleanup(s.Close)
		for _, c := range []struct{ method, target, body string }{
			{"GET", "/things/a%3Ab?maxResults=1&nextToken=a%2Fb", ""},
			{"PUT", "/things/a%3Ab/jobs/$next", "{}"},
			{"GET", "/things/a/jobs/%24next", ""},
			{"DELETE", "/jobs/j1?force=true", ""},
			{"POST", "/tags", `{"a":"ü"}`},
		} {
			r, err := http.NewRequest(c.method, s.URL+c.target, bytes.NewReader([]byte(c.body)))
			if err != nil {
				t.Fatal(err)
			}
			hash := sha256.Sum256([]byte(c.body))
			r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(hash[:]))
			r.Header.Set("X-Amz-User-Agent", "aws-sdk-js/3")
			r.Header.Set("Amz-Sdk-Request", "attempt=1; max=3")
			keys := aws.Credentials{AccessKeyID: exampleID, SecretAccessKey: exampleSecret, SessionToken: "a token"}
			if err := v4.NewSigner().SignHTTP(context.Background(), keys, r, hex.EncodeToString(hash[:]), "iot", "eu-central-1", signedAt); err != nil {
				t.Fatal(err)
			}
			answer, err := s.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if answer.StatusCode != http.StatusOK || (proto == "HTTP/2.0") != version2 {
				t.Errorf("%s: %s %s: %s", proto, c.method, c.target, text)
			}
		}
	}
}
