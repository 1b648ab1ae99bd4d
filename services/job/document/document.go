// Package document checks the text of a job's document.
//
// It promises that a text that passes is JSON in UTF-8 by the letter of RFC 8259, at most BytesMax long and DepthMax
// deep, and holds nothing that a device would have to have substituted: what passes is handed to devices byte for
// byte. It says at which byte a text fails. What the document means it leaves to the device. (specification §5.1)
package document

import (
	"fmt"
	"unicode/utf8"
)

const (
	// BytesMax is AWS's limit; it leaves room in a message of 128 KiB (specification §5.1).
	BytesMax = 32768
	// DepthMax is how deep objects and arrays may nest. Agents on small devices parse by recursion.
	DepthMax = 64
)

// Problem says what is wrong with a text.
type Problem int

const (
	Empty Problem = iota + 1
	TooLong
	NotUTF8
	NotJSON
	TooDeep
	// Placeholder is ${aws:iot:…}: well formed, and not substituted by this version.
	Placeholder
)

// Error is what Check returns.
type Error struct {
	Problem Problem
	// Offset of the byte at fault, from 0.
	Offset int
	detail string
}

func (e *Error) Error() string {
	switch e.Problem {
	case Empty:
		return "the document is empty; it must be a JSON value"
	case TooLong:
		return fmt.Sprintf("the document has %d bytes; at most %d are allowed", e.Offset, BytesMax)
	case NotUTF8:
		return fmt.Sprintf("the document is not UTF-8 at byte %d", e.Offset)
	case TooDeep:
		return fmt.Sprintf("the document nests deeper than %d at byte %d", DepthMax, e.Offset)
	case Placeholder:
		return fmt.Sprintf("the document holds a placeholder %s…} at byte %d; placeholders are not substituted by this version, so write the value itself", marker, e.Offset)
	}
	return fmt.Sprintf("the document is not JSON at byte %d: %s", e.Offset, e.detail)
}

// Check returns nil or an *Error. Of a TooLong text the offset is its length.
func Check(text []byte) error {
	if len(text) == 0 {
		return &Error{Problem: Empty}
	}
	if len(text) > BytesMax {
		return &Error{Problem: TooLong, Offset: len(text)}
	}
	s := scanner{text: text, marked: -1}
	if err := s.document(); err != nil {
		return err
	}
	// Only of a text that is JSON: a fault of syntax is the more useful answer.
	if s.marked >= 0 {
		return &Error{Problem: Placeholder, Offset: s.marked}
	}
	return nil
}

// marker begins every placeholder (specification §5.2). Its first byte occurs once, so that a failed match can
// only begin anew at that byte.
const marker = "${aws:iot:"

// scanner reads a text once, from the front.
type scanner struct {
	text []byte
	at   int
	// marked is where the first marker begins, -1 if there is none. In the string being read, matched bytes of
	// the marker are behind, beginning at from. Strings are matched as they read when parsed: an escaped "$" is a "$".
	marked, matched, from int
}

func (s *scanner) document() error {
	s.space()
	if err := s.value(0); err != nil {
		return err
	}
	s.space()
	if s.at < len(s.text) {
		return s.fault("%s follows the value", s.next())
	}
	return nil
}

func (s *scanner) value(depth int) error {
	if s.at == len(s.text) {
		return s.fault("a value is missing")
	}
	switch c := s.text[s.at]; {
	case c == '{':
		return s.object(depth)
	case c == '[':
		return s.array(depth)
	case c == '"':
		return s.string()
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	}
	return s.fault("%s begins no value", s.next())
}

func (s *scanner) object(depth int) error {
	if depth == DepthMax {
		return &Error{Problem: TooDeep, Offset: s.at}
	}
	s.at++
	if s.space(); s.take('}') {
		return nil
	}
	for {
		if s.peek() != '"' {
			return s.fault("a member's name in quotes is wanted, not %s", s.next())
		}
		if err := s.string(); err != nil {
			return err
		}
		if s.space(); !s.take(':') {
			return s.fault("a colon is wanted, not %s", s.next())
		}
		s.space()
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if s.space(); s.take('}') {
			return nil
		}
		if !s.take(',') {
			return s.fault("a comma or } is wanted, not %s", s.next())
		}
		s.space()
	}
}

func (s *scanner) array(depth int) error {
	if depth == DepthMax {
		return &Error{Problem: TooDeep, Offset: s.at}
	}
	s.at++
	if s.space(); s.take(']') {
		return nil
	}
	for {
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if s.space(); s.take(']') {
			return nil
		}
		if !s.take(',') {
			return s.fault("a comma or ] is wanted, not %s", s.next())
		}
		s.space()
	}
}

func (s *scanner) string() error {
	s.at++
	s.matched = 0
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		case c < ' ':
			return s.fault("a string holds the control character %s; write it as \\u%04x", s.next(), c)
		case c < utf8.RuneSelf:
			s.match(rune(c), s.at)
			s.at++
		default:
			r, size := utf8.DecodeRune(s.text[s.at:])
			if r == utf8.RuneError && size == 1 {
				return &Error{Problem: NotUTF8, Offset: s.at}
			}
			s.match(r, s.at)
			s.at += size
		}
	}
	return s.fault("a string does not end")
}

// escape reads a backslash and what belongs to it.
func (s *scanner) escape() error {
	start := s.at
	s.at++
	switch c := s.peek(); c {
	case '"', '\\', '/':
		s.match(rune(c), start)
	case 'b', 'f', 'n', 'r', 't':
		s.match(-1, start)
	case 'u':
		r := rune(0)
		for range 4 {
			s.at++
			digit := hex(s.peek())
			if digit < 0 {
				return s.fault("four hexadecimal digits are wanted after \\u, not %s", s.next())
			}
			r = r<<4 | digit
		}
		s.match(r, start)
	default:
		return s.fault("%s does not follow a backslash", s.next())
	}
	s.at++
	return nil
}

// match takes the next character of a string, which stands at an offset.
func (s *scanner) match(r rune, offset int) {
	if r != rune(marker[s.matched]) {
		s.matched = 0
	}
	if r != rune(marker[s.matched]) {
		return
	}
	if s.matched == 0 {
		s.from = offset
	}
	s.matched++
	if s.matched == len(marker) {
		if s.marked < 0 {
			s.marked = s.from
		}
		s.matched = 0
	}
}

func (s *scanner) number() error {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return s.fault("a digit is wanted, not %s", s.next())
	}
	if s.take('.') && !s.digits() {
		return s.fault("a digit is wanted after the point, not %s", s.next())
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		if !s.digits() {
			return s.fault("a digit is wanted in the exponent, not %s", s.next())
		}
	}
	return nil
}

// digits reads one or more.
func (s *scanner) digits() bool {
	start := s.at
	for '0' <= s.peek() && s.peek() <= '9' {
		s.at++
	}
	return s.at > start
}

func (s *scanner) word(w string) error {
	for i := range len(w) {
		if !s.take(w[i]) {
			return s.fault("%s is wanted", w)
		}
	}
	return nil
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// peek is the next byte, or 0 at the end; no grammar rule wants a 0.
func (s *scanner) peek() byte {
	if s.at == len(s.text) {
		return 0
	}
	return s.text[s.at]
}

func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// next names the next byte for a message.
func (s *scanner) next() string {
	if s.at == len(s.text) {
		return "the end"
	}
	return fmt.Sprintf("%q", s.text[s.at])
}

func (s *scanner) fault(format string, args ...any) error {
	return &Error{Problem: NotJSON, Offset: s.at, detail: fmt.Sprintf(format, args...)}
}

// hex is a hexadecimal digit's value, or -1.
func hex(c byte) rune {
	switch {
	case '0' <= c && c <= '9':
		return rune(c - '0')
	case 'a' <= c && c <= 'f':
		return rune(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return rune(c-'A') + 10
	}
	return -1
}
