package device

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

var (
	errJSON  = errors.New("not JSON")
	errDepth = errors.New("nested deeper than " + strconv.Itoa(depthMax))
)

// scanner reads JSON (RFC 8259) that is known to be UTF-8, strictly: what it takes, encoding/json takes with the same
// meaning, and the other way round, up to depthMax. What it returns shares the memory of data.
type scanner struct {
	data  string
	pos   int
	depth int
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

// peek is the byte at hand; 0 at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

// eat passes c, which must stand at hand.
func (s *scanner) eat(c byte) error {
	if s.peek() != c {
		return errJSON
	}
	s.pos++
	return nil
}

// object reads an object; member is called behind each colon and reads the value.
func (s *scanner) object(member func(key string) error) error {
	return s.list('{', '}', func() error {
		s.space()
		key, err := s.string()
		if err != nil {
			return err
		}
		s.space()
		if err := s.eat(':'); err != nil {
			return err
		}
		return member(key)
	})
}

// list reads open, elements between commas, end.
func (s *scanner) list(open, end byte, element func() error) error {
	if err := s.eat(open); err != nil {
		return err
	}
	if s.depth++; s.depth > depthMax {
		return errDepth
	}
	if s.space(); s.peek() != end {
		for {
			if err := element(); err != nil {
				return err
			}
			s.space()
			if s.peek() != ',' {
				break
			}
			s.pos++
		}
	}
	s.depth--
	return s.eat(end)
}

// skip passes one value of any kind.
func (s *scanner) skip() error {
	s.space()
	switch s.peek() {
	case '{':
		return s.object(func(string) error { return s.skip() })
	case '[':
		return s.list('[', ']', s.skip)
	default:
		_, err := s.scalar()
		return err
	}
}

// scalar reads a string, a number, true, false or null.
func (s *scanner) scalar() (value, error) {
	s.space()
	switch c := s.peek(); {
	case c == '"':
		text, err := s.string()
		return value{kind: kindString, text: text}, err
	case c == '-' || isDigit(c):
		text, err := s.number()
		return value{kind: kindNumber, text: text}, err
	case c == 't':
		return value{kind: kindTrue, text: "true"}, s.word("true")
	case c == 'f':
		return value{kind: kindFalse, text: "false"}, s.word("false")
	default:
		return value{kind: kindNull}, s.word("null")
	}
}

func (s *scanner) word(w string) error {
	if !strings.HasPrefix(s.data[s.pos:], w) {
		return errJSON
	}
	s.pos += len(w)
	return nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// digits passes one digit or more.
func (s *scanner) digits() error {
	if !isDigit(s.peek()) {
		return errJSON
	}
	for isDigit(s.peek()) {
		s.pos++
	}
	return nil
}

// number reads a number and keeps its text.
func (s *scanner) number() (string, error) {
	start := s.pos
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if err := s.digits(); err != nil {
		return "", err
	}
	if s.peek() == '.' {
		s.pos++
		if err := s.digits(); err != nil {
			return "", err
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if err := s.digits(); err != nil {
			return "", err
		}
	}
	return s.data[start:s.pos], nil
}

// string reads a string; most hold no escape and are not copied.
func (s *scanner) string() (string, error) {
	if err := s.eat('"'); err != nil {
		return "", err
	}
	for start := s.pos; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return s.data[start : s.pos-1], nil
		case c == '\\':
			return s.escaped([]byte(s.data[start:s.pos]))
		case c < ' ':
			return "", errors.New("a control character in a string")
		}
	}
	return "", errJSON
}

// escaped reads the rest of a string that holds escapes.
func (s *scanner) escaped(text []byte) (string, error) {
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		s.pos++
		switch {
		case c == '"':
			return string(text), nil
		case c < ' ':
			return "", errors.New("a control character in a string")
		case c != '\\':
			text = append(text, c)
		default:
			var err error
			if text, err = s.escape(text); err != nil {
				return "", err
			}
		}
	}
	return "", errJSON
}

// escape reads what follows a backslash.
func (s *scanner) escape(text []byte) ([]byte, error) {
	c := s.peek()
	s.pos++
	switch c {
	case '"', '\\', '/':
		return append(text, c), nil
	case 'b':
		return append(text, '\b'), nil
	case 'f':
		return append(text, '\f'), nil
	case 'n':
		return append(text, '\n'), nil
	case 'r':
		return append(text, '\r'), nil
	case 't':
		return append(text, '\t'), nil
	case 'u':
	default:
		return nil, errJSON
	}
	r, err := s.hex()
	if err != nil {
		return nil, err
	}
	if !utf16.IsSurrogate(r) {
		return utf8.AppendRune(text, r), nil
	}
	// Half of a pair: with its other half one character, alone U+FFFD.
	if s.pos+1 < len(s.data) && s.data[s.pos] == '\\' && s.data[s.pos+1] == 'u' {
		mark := s.pos
		s.pos += 2
		low, err := s.hex()
		if err != nil {
			return nil, err
		}
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return utf8.AppendRune(text, pair), nil
		}
		s.pos = mark
	}
	return utf8.AppendRune(text, utf8.RuneError), nil
}

// hex reads four hexadecimal digits.
func (s *scanner) hex() (rune, error) {
	if len(s.data)-s.pos < 4 {
		return 0, errJSON
	}
	var r rune
	for i := range 4 {
		c := s.data[s.pos+i]
		switch {
		case isDigit(c):
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, errJSON
		}
		r = r<<4 | rune(c)
	}
	s.pos += 4
	return r, nil
}
