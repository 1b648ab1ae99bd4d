package document

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// parameter begins a placeholder of a managed template: ${aws:iot:parameter:NAME} (specification §5.2).
const parameter = marker + "parameter:"

// Substitute puts values in place of the parameters in the strings of a text that is JSON, members' names included. A
// value stands as one piece of its string, whatever characters it has: it cannot end the string, and a placeholder in
// it is not substituted. What lies outside such strings stays byte for byte.
func Substitute(text []byte, value func(name string) (string, bool)) ([]byte, error) {
	var out []byte
	for at := 0; at < len(text); {
		if text[at] != '"' {
			out = append(out, text[at])
			at++
			continue
		}
		end := stringEnd(text, at)
		token := text[at:end]
		at = end
		var s string
		if err := json.Unmarshal(token, &s); err != nil {
			return nil, fmt.Errorf("the document is not JSON: %w", err)
		}
		if !strings.Contains(s, parameter) {
			out = append(out, token...)
			continue
		}
		s, err := fill(s, value)
		if err != nil {
			return nil, err
		}
		out = append(out, quoted(s)...)
	}
	return out, nil
}

// stringEnd is the place behind the string that begins at a place.
func stringEnd(text []byte, at int) int {
	for i := at + 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

func fill(s string, value func(string) (string, bool)) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(s, parameter)
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", fmt.Errorf("a placeholder %s… does not end with }", parameter)
		}
		v, ok := value(name)
		if !ok {
			return "", fmt.Errorf("no parameter has the name %.128q", name)
		}
		out.WriteString(v)
		s = after
	}
}

func quoted(s string) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(fmt.Sprintf("a string cannot be encoded: %v", err)) // a string always can
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
