package sigv4

import "time"

// Identity is who signed a request, and for what.
type Identity struct {
	AccessKeyID string
	// Region and Service are those of the scope that was signed for.
	Region, Service string
	// Signature in hexadecimal: 64 characters.
	Signature string
	// SignedHeaders are the names that were signed, in lower case, sorted.
	SignedHeaders []string
	// At is when it was signed.
	At time.Time
}

// Error is why a request is not let in. It is sent with status 403.
type Error struct {
	// Name is AWS's: MissingAuthenticationTokenException, IncompleteSignatureException, UnrecognizedClientException or
	// InvalidSignatureException.
	Name, Message string
}

func (e *Error) Error() string { return e.Name + ": " + e.Message }
