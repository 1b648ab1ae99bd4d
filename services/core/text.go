package core

import (
	"unicode"
	"unicode/utf8"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// CheckText refuses a text of more than so many characters, or with control or format characters: the pattern
// [^\p{C}]* of descriptions, comments and values (specification §1.3).
func CheckText(field, text string, limit int) error {
	if !utf8.ValidString(text) {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, field, "the text is not UTF-8")
	}
	if n := utf8.RuneCountInString(text); n > limit {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, field, "the text has %d characters; at most %d are allowed", n, limit)
	}
	for i, r := range text {
		if unicode.Is(unicode.C, r) {
			return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, field, "the text holds the control character %q at byte %d; line ends and tabs are not allowed", r, i)
		}
	}
	return nil
}
