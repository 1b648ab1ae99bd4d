package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

// lineMax bounds a line of a file of things: a thing with all the attributes it may have is far below.
const lineMax = 64 << 10

// readThings reads one thing a line: a name, or a JSON object with thingName, attributes and thingTypeName. Blank
// lines are passed over. An error names the line.
func readThings(r io.Reader) source[*v1.NewThing] {
	lines := readLines(r)
	return func() (*v1.NewThing, error) {
		n, line, err := lines()
		if err != nil {
			return nil, err
		}
		t, err := parseThing(line)
		if err != nil {
			return nil, atLine(n, err)
		}
		return t, nil
	}
}

// readNames reads one thing's name a line, or takes it from the JSON of a thing.
func readNames(r io.Reader) source[string] {
	things := readThings(r)
	return func() (string, error) {
		t, err := things()
		return t.GetName(), err
	}
}

// parseThing reads one line of a file of things.
func parseThing(line []byte) (*v1.NewThing, error) {
	if line[0] != '{' {
		return checkedThing(string(line))
	}
	fields, err := body.Read(line, 3)
	if err != nil {
		return nil, err
	}
	t := new(v1.NewThing)
	for _, f := range fields {
		switch f.Name {
		case "thingName":
			var name string
			if name, err = f.Text(); err == nil {
				t.Name, err = thingArg(name)
			}
		case "thingTypeName":
			t.ThingType, err = f.Text()
		case "attributes":
			t.Attributes, err = f.Attributes()
		default:
			err = invalid(f.Name, "unknown field; thingName, attributes and thingTypeName are allowed")
		}
		if err != nil {
			return nil, err
		}
	}
	if t.Name == "" {
		return nil, invalid("thingName", "is missing")
	}
	return t, nil
}

// readLines yields lines that are not blank, without the space around them, and their numbers from 1.
func readLines(r io.Reader) func() (int, []byte, error) {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 4096), lineMax)
	n := 0
	return func() (int, []byte, error) {
		for s.Scan() {
			n++
			if line := bytes.TrimSpace(s.Bytes()); len(line) > 0 {
				return n, line, nil
			}
		}
		switch err := s.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			return 0, nil, atLine(n+1, invalid("", "longer than %d bytes", lineMax))
		case err != nil:
			return 0, nil, err
		}
		return 0, nil, io.EOF
	}
}

// atLine says in which line of a file an error is.
func atLine(n int, err error) error {
	var r *v1.Refusal
	if errors.As(err, &r) {
		return v1.Refuse(r.Code, r.Field, "%s (line %d)", r.Message, n)
	}
	return fmt.Errorf("line %d: %w", n, err)
}
