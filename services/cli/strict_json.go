package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
)

// jsonField is one member of a JSON object, with the path to it for errors.
type jsonField struct {
	name, path string
	value      json.RawMessage
}

// readObject reads a JSON object strictly: nothing but the object, every name once, nothing nested deeper than depth.
// Members come in the order in which they stand.
func readObject(text []byte, depth int) ([]jsonField, error) {
	if err := checkDepth(text, depth); err != nil {
		return nil, err
	}
	return jsonField{value: text}.object()
}

func (f jsonField) object() ([]jsonField, error) {
	d := json.NewDecoder(bytes.NewReader(f.value))
	t, err := d.Token()
	if err != nil {
		return nil, invalid(f.path, "not JSON: %v", err)
	}
	if t != json.Delim('{') {
		return nil, invalid(f.path, "a JSON object is expected")
	}
	var fields []jsonField
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, invalid(f.path, "not JSON: %v", err)
		}
		m := jsonField{name: name, path: strings.TrimPrefix(f.path+"."+name, ".")}
		if err := d.Decode(&m.value); err != nil {
			return nil, invalid(m.path, "not JSON: %v", err)
		}
		if slices.ContainsFunc(fields, func(x jsonField) bool { return x.name == name }) {
			return nil, invalid(m.path, "stands there twice")
		}
		fields = append(fields, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, invalid(f.path, "not JSON: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, invalid(f.path, "something follows the JSON object")
	}
	return fields, nil
}

func (f jsonField) text() (string, error) {
	var s *string
	if err := json.Unmarshal(f.value, &s); err != nil || s == nil {
		return "", invalid(f.path, "a string is expected, not %.40s", f.value)
	}
	return *s, nil
}

func (f jsonField) texts() ([]string, error) {
	var list []*string
	if err := json.Unmarshal(f.value, &list); err != nil || list == nil {
		return nil, invalid(f.path, "a list of strings is expected, not %.40s", f.value)
	}
	out := make([]string, 0, len(list))
	for _, s := range list {
		if s == nil {
			return nil, invalid(f.path, "a list of strings is expected, not %.40s", f.value)
		}
		out = append(out, *s)
	}
	return out, nil
}

// number reads an integer from 1 to most.
func (f jsonField) number(most int64) (uint32, error) {
	var n int64
	if err := json.Unmarshal(f.value, &n); err != nil || n < 1 || n > most || bytes.Equal(f.value, []byte("null")) {
		return 0, invalid(f.path, "a whole number from 1 to %d is expected, not %.40s", most, f.value)
	}
	return uint32(n), nil
}

// checkDepth refuses JSON that is nested deeper than depth, before anything that recurses sees it.
func checkDepth(text []byte, depth int) error {
	at, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if at++; at > depth {
				return invalid("", "JSON is nested deeper than %d", depth)
			}
		case c == '}' || c == ']':
			at--
		}
	}
	return nil
}
