package sigv4

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeFormat = "20060102T150405Z"
	dateFormat = "20060102"
)

// authorization is the Authorization header, taken apart.
type authorization struct {
	accessKeyID           string
	date, region, service string
	signedHeaders         []string
	signature             string
}

// What may stand in the parts of the header. They end up in ARNs and in ids of commands.
var (
	keyIDForm     = regexp.MustCompile(`^[A-Za-z0-9]{1,128}$`)
	scopeForm     = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)
	headerForm    = regexp.MustCompile("^[a-z0-9!#$%&'*+.^_`|~-]+$")
	signatureForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

func incomplete(message string) error { return &Error{IncompleteSignature, message} }

// authorizationOf reads the Authorization header of a request.
func authorizationOf(r *http.Request) (*authorization, error) {
	values := r.Header.Values("Authorization")
	switch {
	case len(values) > 1:
		return nil, incomplete("The request has several Authorization headers.")
	case len(values) == 0 && strings.Contains(r.RequestURI, "X-Amz-Signature="):
		return nil, incomplete("A signature in the query (a presigned URL) is not taken here: sign with the Authorization header.")
	case len(values) == 0:
		return nil, &Error{MissingAuthenticationToken, "Missing Authentication Token: sign the request with an access key (drover credential create)."}
	}
	scheme, rest, _ := strings.Cut(values[0], " ")
	if scheme != algorithm {
		return nil, incomplete("The Authorization header must begin with " + algorithm + ".")
	}
	return parseAuthorization(rest)
}

// parseAuthorization reads what follows the algorithm: Credential=…, SignedHeaders=…, Signature=…, each once, in any order.
func parseAuthorization(text string) (*authorization, error) {
	parts := map[string]string{"Credential": "", "SignedHeaders": "", "Signature": ""}
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		had, known := parts[name]
		if !known || had != "" || value == "" {
			return nil, incomplete("The Authorization header holds Credential, SignedHeaders and Signature, each once, and nothing else.")
		}
		parts[name] = value
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if parts[name] == "" {
			return nil, incomplete("Authorization header requires '" + name + "' parameter.")
		}
	}
	scope := strings.Split(parts["Credential"], "/")
	if len(scope) != 5 || !keyIDForm.MatchString(scope[0]) || !scopeForm.MatchString(scope[2]) || !scopeForm.MatchString(scope[3]) {
		return nil, incomplete("Credential must be access key/date/region/service/" + terminator + ".")
	}
	if scope[4] != terminator {
		return nil, &Error{InvalidSignature, "Credential should be scoped with a valid terminator: '" + terminator + "'."}
	}
	a := &authorization{
		accessKeyID: scope[0], date: scope[1], region: scope[2], service: scope[3],
		signedHeaders: strings.Split(parts["SignedHeaders"], ";"), signature: parts["Signature"],
	}
	if !signatureForm.MatchString(a.signature) {
		return nil, incomplete("Signature must be 64 lower-case hexadecimal digits.")
	}
	for i, name := range a.signedHeaders {
		if !headerForm.MatchString(name) || i > 0 && name <= a.signedHeaders[i-1] {
			return nil, incomplete("SignedHeaders must be names of headers in lower case, sorted, each once, with ';' between them.")
		}
	}
	return a, nil
}

func (a *authorization) signs(header string) bool {
	_, signs := slices.BinarySearch(a.signedHeaders, header)
	return signs
}

// timeOf is the time of the signature: X-Amz-Date, else Date, which must be signed, and be of the scope's day.
func (a *authorization) timeOf(h http.Header) (time.Time, error) {
	name := "X-Amz-Date"
	if len(h.Values(name)) == 0 {
		name = "Date"
	}
	values := h.Values(name)
	if len(values) != 1 {
		return time.Time{}, incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header, once.")
	}
	if !a.signs(strings.ToLower(name)) {
		return time.Time{}, incomplete("'" + name + "' must be a 'SignedHeader'.")
	}
	at, err := time.Parse(timeFormat, values[0])
	if err != nil && name == "Date" {
		at, err = time.Parse(http.TimeFormat, values[0])
	}
	if at = at.Truncate(time.Second); err != nil {
		return time.Time{}, incomplete(name + " must be a time, such as 20150830T123600Z.")
	}
	if at.Format(dateFormat) != a.date {
		return time.Time{}, &Error{InvalidSignature, "Date in Credential scope does not match YYYYMMDD of " + name + "."}
	}
	return at, nil
}
