package sigv4

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// unsigned are the x-amz- headers that need not be signed: the first is compared with the body, and nothing depends on
// the others, which clients and proxies add.
var unsigned = []string{"x-amz-content-sha256", "x-amz-user-agent", "x-amz-cf-id"}

// canonical is the request in the form that was signed; payload is the hash of its body.
func (a *authorization) canonical(r *http.Request, payload string) (string, error) {
	if err := a.checkHeaders(r.Header, payload); err != nil {
		return "", err
	}
	path, query, _ := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") {
		return "", &Error{InvalidSignature, "The request must name a path, and the host in its Host header."}
	}
	query, err := canonicalQuery(query)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(r.Method + "\n" + encode(path, "/") + "\n" + query + "\n")
	for _, name := range a.signedHeaders {
		values := valuesOf(r, name)
		if len(values) == 0 {
			return "", &Error{InvalidSignature, "SignedHeaders names '" + name + "', which the request does not have."}
		}
		for i, v := range values {
			values[i] = strings.Join(strings.FieldsFunc(v, isBlank), " ")
		}
		b.WriteString(name + ":" + strings.Join(values, ",") + "\n")
	}
	b.WriteString("\n" + strings.Join(a.signedHeaders, ";") + "\n" + payload)
	return b.String(), nil
}

// checkHeaders refuses a request that could mean something else than what was signed.
func (a *authorization) checkHeaders(h http.Header, payload string) error {
	if !a.signs("host") {
		return incomplete("'Host' must be a 'SignedHeader'.")
	}
	for name := range h {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "x-amz-") && !a.signs(lower) && !slices.Contains(unsigned, lower) {
			return incomplete("'" + name + "' must be a 'SignedHeader'.")
		}
	}
	for _, hash := range h.Values("X-Amz-Content-Sha256") {
		if hash != payload {
			return &Error{InvalidSignature, "X-Amz-Content-Sha256 must be the SHA-256 of the body, in lower-case hexadecimal digits; a body that is not signed (UNSIGNED-PAYLOAD) or signed in chunks is not taken."}
		}
	}
	return nil
}

// valuesOf are the values of a header, which net/http keeps in several places. They are the caller's.
func valuesOf(r *http.Request, name string) []string {
	values := slices.Clone(r.Header.Values(name))
	switch {
	case name == "host":
		return []string{r.Host}
	case name == "content-length" && len(values) == 0 && r.ContentLength >= 0:
		return []string{strconv.FormatInt(r.ContentLength, 10)}
	}
	return values
}

func isBlank(c rune) bool { return c == ' ' || c == '\t' }

// canonicalQuery sorts the parameters by their encoded name, and then by their encoded value.
func canonicalQuery(raw string) (string, error) {
	parameters, err := url.ParseQuery(raw)
	if err != nil {
		return "", &Error{InvalidSignature, "The query of the request is malformed."}
	}
	var pairs [][2]string
	for name, values := range parameters {
		for _, v := range values {
			pairs = append(pairs, [2]string{encode(name, ""), encode(v, "")})
		}
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p[0] + "=" + p[1])
	}
	return b.String(), nil
}

// encode percent-encodes every byte but letters, digits, "-._~" and those of keep. The path is encoded as it was received,
// where names are encoded already: `%3A` becomes `%253A`, and `$next` becomes `%24next`.
func encode(s, keep string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~"+keep, c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}
