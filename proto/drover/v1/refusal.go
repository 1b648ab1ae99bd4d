package droverv1

import (
	"errors"
	"fmt"
)

// ErrDropped is handed to whoever waits for an answer that must not be given: another owner may have given it. It is
// no answer and nobody is told of it; who asked asks again when he has heard nothing. (design §4)
var ErrDropped = errors.New("dropped without an answer: another owner may have given it")

// Error makes a refusal an error, so that cores return it and fronts find it with errors.As.
func (r *Refusal) Error() string {
	if r.GetField() == "" {
		return r.GetMessage()
	}
	return r.GetField() + ": " + r.GetMessage()
}

// Refuse makes a refusal of a field; field may be empty.
func Refuse(code RefusalCode, field, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Field: field, Message: fmt.Sprintf(format, args...)}
}
