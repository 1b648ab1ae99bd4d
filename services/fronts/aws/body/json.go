// Package body reads the bodies of AWS's requests into commands, strictly: a member that has no meaning here is refused by
// name, and so is one that comes twice, is of a wrong kind or out of range, for what is not understood cannot be taken back
// once a job runs. null is the same as nothing. Refusals are INVALID_REQUEST, or NOT_SUPPORTED, and name the member by its
// path: abortConfig.criteriaList[0].action.
//
// It writes a job's configuration back as AWS does, too, for whoever answers.
//
// It checks shapes. What depends on the state of the system, or on its limits, is the owner's to refuse.
// (specification §2)
package body

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// Field is a JSON value that stands somewhere in a body: as a member, with its name, or in a list. Path leads to it.
type Field struct {
	Name, Path string
	Value      json.RawMessage
}

// depthMax is how deep a body nests at most: a CreateJob is 5 deep, and its document is text in it.
const depthMax = 16

// Decode reads a body: a JSON object whose members are all known. An empty body is an empty object.
func Decode(text []byte, known map[string]func(Field) error) error {
	fields, err := Read(text, depthMax)
	if err != nil {
		return err
	}
	return each(fields, known)
}

// Read reads a JSON object strictly: nothing but the object, every name once, nothing nested deeper than depth. Members
// come in the order in which they stand. An empty text is an empty object.
func Read(text []byte, depth int) ([]Field, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	if !utf8.Valid(text) {
		return nil, invalid("", "the body is not UTF-8")
	}
	if err := checkDepth(text, depth); err != nil {
		return nil, err
	}
	return Field{Value: text}.Object()
}

// Members reads an object whose every member is known. One that is null is passed over.
func (f Field) Members(known map[string]func(Field) error) error {
	fields, err := f.Object()
	if err != nil {
		return err
	}
	return each(fields, known)
}

func each(fields []Field, known map[string]func(Field) error) error {
	for _, m := range fields {
		read, ok := known[m.Name]
		if !ok {
			return m.unknown()
		}
		if bytes.Equal(m.Value, []byte("null")) {
			continue
		}
		if err := read(m); err != nil {
			return err
		}
	}
	return nil
}

// unknown refuses a member that has no meaning here, or none yet.
func (f Field) unknown() error {
	if slices.Contains(NotYet, f.Path) {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_SUPPORTED, f.Path, "not supported; leave it out")
	}
	return invalid(f.Path, "unknown field")
}

func invalid(field, format string, args ...any) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, field, format, args...)
}

// Object is the members of an object, in the order in which they stand, each name once.
func (f Field) Object() ([]Field, error) {
	d := json.NewDecoder(bytes.NewReader(f.Value))
	t, err := d.Token()
	if err != nil {
		return nil, invalid(f.Path, "not JSON: %v", err)
	}
	if t != json.Delim('{') {
		return nil, invalid(f.Path, "a JSON object is expected")
	}
	var fields []Field
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, invalid(f.Path, "not JSON: %v", err)
		}
		m := Field{Name: name, Path: strings.TrimPrefix(f.Path+"."+name, ".")}
		if err := d.Decode(&m.Value); err != nil {
			return nil, invalid(m.Path, "not JSON: %v", err)
		}
		if slices.ContainsFunc(fields, func(x Field) bool { return x.Name == name }) {
			return nil, invalid(m.Path, "stands there twice")
		}
		fields = append(fields, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, invalid(f.Path, "not JSON: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, invalid(f.Path, "something follows the JSON object")
	}
	return fields, nil
}

// Text reads a string.
func (f Field) Text() (string, error) {
	var s *string
	if err := json.Unmarshal(f.Value, &s); err != nil || s == nil {
		return "", invalid(f.Path, "a string is expected, not %.40s", f.Value)
	}
	return *s, nil
}

// Texts reads a list of strings.
func (f Field) Texts() ([]string, error) {
	var list []*string
	if err := json.Unmarshal(f.Value, &list); err != nil || list == nil {
		return nil, invalid(f.Path, "a list of strings is expected, not %.40s", f.Value)
	}
	out := make([]string, 0, len(list))
	for _, s := range list {
		if s == nil {
			return nil, invalid(f.Path, "a list of strings is expected, not %.40s", f.Value)
		}
		out = append(out, *s)
	}
	return out, nil
}

// Items reads a list, each item under its place: abortConfig.criteriaList[0].
func (f Field) Items() ([]Field, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(f.Value, &list); err != nil || list == nil {
		return nil, invalid(f.Path, "a list is expected, not %.40s", f.Value)
	}
	items := make([]Field, len(list))
	for i, v := range list {
		items[i] = Field{Path: f.Path + "[" + strconv.Itoa(i) + "]", Value: v}
	}
	return items, nil
}

// Bool reads true or false.
func (f Field) Bool() (bool, error) {
	switch string(f.Value) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, invalid(f.Path, "true or false is expected, not %.40s", f.Value)
}

// Whole reads an integer from least to most.
func (f Field) Whole(least, most int64) (int64, error) {
	var n *int64
	if err := json.Unmarshal(f.Value, &n); err != nil || n == nil || *n < least || *n > most {
		return 0, invalid(f.Path, "a whole number from %d to %d is expected, not %.40s", least, most, f.Value)
	}
	return *n, nil
}

// Number reads an integer from 1 to most.
func (f Field) Number(most int64) (uint32, error) {
	n, err := f.Whole(1, min(most, math.MaxUint32))
	return uint32(n), err
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
