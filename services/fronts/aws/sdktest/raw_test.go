package sdktest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	awsv2 "github.com/aws/aws-sdk-go-v2/aws"
	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// request makes a request that is not signed.
func (s *system) request(t testing.TB, method, path, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// signed makes a request that is signed for a service, as of a time.
func (s *system) signed(t testing.TB, service, method, path, body string, at time.Time) *http.Request {
	t.Helper()
	return s.sign(t, s.request(t, method, path, body), service, body, at)
}

// sign signs a request, whose body this is.
func (s *system) sign(t testing.TB, r *http.Request, service, body string, at time.Time) *http.Request {
	t.Helper()
	sum := sha256.Sum256([]byte(body))
	keys := awsv2.Credentials{AccessKeyID: s.accessKey, SecretAccessKey: s.secret}
	if err := signer.NewSigner().SignHTTP(context.Background(), keys, r, hex.EncodeToString(sum[:]), service, region, at); err != nil {
		t.Fatal(err)
	}
	return r
}

// send sends a request and says how it was answered: its status, the error's name, the body.
func send(t testing.TB, r *http.Request) (status int, name, body string) {
	t.Helper()
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header.Get("x-amzn-ErrorType"), string(text)
}

// get reads what a plane answers, as it was written.
func (s *system) get(t testing.TB, service, path string) string {
	t.Helper()
	status, _, body := send(t, s.signed(t, service, http.MethodGet, path, "", time.Now()))
	if status != http.StatusOK {
		t.Fatalf("GET %s of %s: %d %s", path, service, status, body)
	}
	return body
}

// lossy is a connection on which the first answers get lost: the request arrives and takes effect, and the client hears an
// error instead.
type lossy struct {
	lose int
	sent []*http.Request
}

// RoundTrip implements http.RoundTripper.
func (l *lossy) RoundTrip(r *http.Request) (*http.Response, error) {
	l.sent = append(l.sent, r)
	answer, err := http.DefaultTransport.RoundTrip(r)
	if l.lose == 0 || err != nil {
		return answer, err
	}
	l.lose--
	answer.Body.Close()
	return nil, io.ErrUnexpectedEOF
}
