// Package sigv4 verifies AWS's Signature Version 4 of an HTTP request, as AWS's command line and SDKs sign it.
//
// It promises that a request it lets pass was signed by who holds the secret of the access key, over its method, path, query,
// host, time, body and every header that it names; that it was signed at most MaxSkew ago; that a signature has one
// spelling; and that an unknown access key costs the work of a known one. It never panics, whatever stands in the headers.
//
// It leaves to others who holds which secret (fronts/aws/credential), whether the region and the service of the scope are
// ours, and that a request sent again takes effect once (fronts/aws). Signatures in the query (presigned URLs), of chunked
// bodies, with AWS4-ECDSA and without the body are refused by name.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"
)

// MaxSkew is how far the time of a signature may be from ours, either way. (AWS's)
const MaxSkew = 5 * time.Minute

// The names of AWS's errors, all of them answered with status 403.
const (
	MissingAuthenticationToken = "MissingAuthenticationTokenException"
	IncompleteSignature        = "IncompleteSignatureException"
	UnrecognizedClient         = "UnrecognizedClientException"
	InvalidSignature           = "InvalidSignatureException"
)

// Error is a refusal. Its message repeats nothing of the request but the names of headers.
type Error struct{ Name, Message string }

func (e *Error) Error() string { return e.Name + ": " + e.Message }

// Identity is who signed a request, and for what.
type Identity struct {
	AccessKeyID string
	// Region and Service are those of the scope: lower-case letters, digits and hyphens.
	Region, Service string
	// Signature is 64 lower-case hexadecimal digits. One request that is signed twice in a second has one signature.
	Signature string
	// SignedHeaders are lower-case and sorted. Another header may have been added or changed on the way.
	SignedHeaders []string
	// At is the time that was signed, to the second.
	At time.Time
}

// Verify checks the signature of r, whose body was read into body, as of now. secret yields the secret of an access key.
// Every error is an *Error.
func Verify(r *http.Request, body []byte, now time.Time, secret func(accessKeyID string) (string, bool)) (Identity, error) {
	a, err := authorizationOf(r)
	if err != nil {
		return Identity{}, err
	}
	at, err := a.timeOf(r.Header)
	if err != nil {
		return Identity{}, err
	}
	if err := checkSkew(at, now); err != nil {
		return Identity{}, err
	}
	payload := hexHash(body)
	canonical, err := a.canonical(r, payload)
	if err != nil {
		return Identity{}, err
	}

	key, known := secret(a.accessKeyID)
	if !known {
		key = decoy
	}
	want := a.sign(key, at, canonical)
	same := hmac.Equal([]byte(want), []byte(a.signature))
	switch {
	case !known:
		return Identity{}, &Error{UnrecognizedClient, "The security token included in the request is invalid: this access key is unknown, or was revoked. `drover credential list` shows those that are valid."}
	case !same:
		return Identity{}, &Error{InvalidSignature, "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method; a proxy must leave the Host header and the path as they are."}
	}
	return Identity{
		AccessKeyID: a.accessKeyID, Region: a.region, Service: a.service,
		Signature: a.signature, SignedHeaders: a.signedHeaders, At: at,
	}, nil
}

// decoy is signed with when the access key is unknown, so that this takes as long. What it signs is refused all the same.
const decoy = "0000000000000000000000000000000000000000"

// checkSkew refuses a signature that is too old, or from the future.
func checkSkew(at, now time.Time) error {
	what := "Signature expired"
	switch now = now.UTC(); {
	case at.After(now.Add(MaxSkew)):
		what = "Signature not yet current"
	case !at.Before(now.Add(-MaxSkew)):
		return nil
	}
	return &Error{InvalidSignature, what + ": it was made at " + at.Format(timeFormat) + ", and here it is " + now.Format(timeFormat) + ". 5 minutes are allowed: set the clocks."}
}

// sign is the signature of a canonical request, in hexadecimal digits.
func (a *authorization) sign(secret string, at time.Time, canonical string) string {
	key := []byte("AWS4" + secret)
	for _, part := range []string{a.date, a.region, a.service, terminator} {
		key = mac(key, part)
	}
	scope := a.date + "/" + a.region + "/" + a.service + "/" + terminator
	toSign := algorithm + "\n" + at.Format(timeFormat) + "\n" + scope + "\n" + hexHash([]byte(canonical))
	return hex.EncodeToString(mac(key, toSign))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hexHash(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
