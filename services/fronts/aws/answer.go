package aws

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// answer writes what a request is answered with, once.
type answer struct {
	http.ResponseWriter
	status int // 0 before it is written
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
		a.ResponseWriter.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.ResponseWriter.Write(b)
}

// grant answers with a value as JSON; nil is an empty body.
func (a *answer) grant(v any) {
	if v == nil {
		a.WriteHeader(http.StatusOK)
		return
	}
	a.write(http.StatusOK, v)
}

// write answers with JSON. Values are ours and can be marshaled; who asked may be gone.
func (a *answer) write(status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	a.Header().Set("Content-Type", "application/json")
	a.Header().Set("Content-Length", strconv.Itoa(len(text)))
	a.WriteHeader(status)
	_, _ = a.Write(text)
}

// rows says a list in AWS's words. An empty one is a list too, never null.
func rows[T, R any](list []T, row func(T) R) []R {
	told := make([]R, 0, len(list))
	for _, item := range list {
		told = append(told, row(item))
	}
	return told
}

// moment is a time, ms since the Unix epoch, as the control plane writes it: seconds with a fraction. Members of this type
// have omitzero: 0 is no time. (specification §1.3)
type moment int64

// MarshalJSON implements json.Marshaler.
func (m moment) MarshalJSON() ([]byte, error) {
	b := strconv.AppendInt(nil, int64(m)/1000, 10)
	if ms := int64(m) % 1000; ms > 0 {
		b = append(b, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	}
	return b, nil
}
