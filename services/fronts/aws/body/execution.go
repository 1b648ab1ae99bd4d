package body

import (
	"encoding/json"
	"strconv"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// CancelExecution reads the body of CancelJobExecution. The rest stands in the path and behind it. (specification §4.5)
func CancelExecution(text []byte) (*v1.CancelExecution, error) {
	q := new(v1.CancelExecution)
	return q, Decode(text, map[string]func(Field) error{
		"expectedVersion": into(&q.ExpectedVersion, Field.Version),
		"statusDetails": func(f Field) (err error) {
			q.StatusDetails, err = f.Details()
			q.ReplaceDetails = true
			return err
		},
	})
}

// Version reads a version: a whole number above 0, which may stand in quotes. (specification §4.3)
func (f Field) Version() (uint64, error) {
	s := string(f.Value)
	if f.Value[0] == '"' {
		var err error
		if s, err = f.Text(); err != nil {
			return 0, err
		}
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || n == 0 {
		return 0, invalid(f.Path, "a whole number above 0 is expected, not %.40s", f.Value)
	}
	return n, nil
}

// Details reads statusDetails, sorted by name. Numbers and booleans become their texts. (specification §4.4)
func (f Field) Details() ([]*v1.Detail, error) {
	fields, err := f.Object()
	if err != nil {
		return nil, err
	}
	list := make([]*v1.Detail, 0, len(fields))
	for _, m := range fields {
		value := string(m.Value)
		switch m.Value[0] {
		case '{', '[', 'n':
			return nil, invalid(m.Path, "a string is expected, not %.40s", m.Value)
		case '"':
			if err := json.Unmarshal(m.Value, &value); err != nil {
				return nil, invalid(m.Path, "not JSON: %v", err)
			}
		}
		list = append(list, &v1.Detail{Name: m.Name, Value: value})
	}
	return SortedOnce(f.Path, list, (*v1.Detail).GetName)
}
