// Package page is what all lists of the read models have in common: bounds, tokens, and the scan between them.
//
// It promises that a list which is followed from token to token names every row that stood from the first page to
// the last exactly once, in key order, whatever was written meanwhile; and that a page costs at most ScanMax rows and holds little
// more than BytesMax, so that it may hold fewer rows than its limit, even none, and still have a successor. A token is opaque: the key of the
// last row that was looked at. One that belongs to another list is refused.
package page

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// The bounds of a page, in rows.
const (
	LimitDefault = 100
	LimitMax     = 1000
	// ScanMax is how many rows are looked at for one page where a filter passes few of them.
	ScanMax = 50_000
	// BytesMax ends a page, in bytes of the items that it holds: as JSON they take up to three times as much, and a
	// reply is one message of the broker, 1 MB.
	BytesMax = 256 << 10
)

// tokenMax is more than the longest key (two names of 128 characters and three numbers) takes in base64.
const tokenMax = 512

// List reads one page of the rows whose keys begin with prefix. Row makes an item of a key and its value, which are good
// for that call, or says that the row is not wanted. Next is the token of the page that follows; empty at the end.
func List[T any](r kv.Reader, prefix []byte, p *v1.Page, row func(key, value []byte) (item T, wanted bool)) (items []T, next string, err error) {
	limit, err := Limit(p)
	if err != nil {
		return nil, "", err
	}
	from, err := Begin(prefix, p.GetToken())
	if err != nil {
		return nil, "", err
	}
	var last []byte
	scanned, bytes := 0, 0
	for key, value := range r.Scan(from, kv.PrefixEnd(prefix)) {
		if len(items) == limit || scanned == ScanMax || bytes >= BytesMax {
			return items, encode(last), nil
		}
		scanned++
		last = append(last[:0], key...)
		if item, wanted := row(key, value); wanted {
			items = append(items, item)
			bytes += size(item)
		}
	}
	return items, "", nil
}

// size is about what an item takes in a reply.
func size(item any) int {
	switch i := item.(type) {
	case interface{ SizeVT() int }:
		return i.SizeVT()
	case string:
		return len(i)
	}
	return 0
}

// Limit is how many rows a page may hold.
func Limit(p *v1.Page) (int, error) {
	switch n := p.GetLimit(); {
	case n == 0:
		return LimitDefault, nil
	case n > LimitMax:
		return 0, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "maxResults", "%d is more than a page holds; 1 to %d are allowed, 0 is %d", n, LimitMax, LimitDefault)
	default:
		return int(n), nil
	}
}

// Begin is the first key of the page that a token asks for, for lists that read their rows themselves.
func Begin(prefix []byte, token string) ([]byte, error) {
	if token == "" {
		return prefix, nil
	}
	key, err := decode(token)
	if err == nil && !strings.HasPrefix(string(key), string(prefix)) {
		err = fmt.Errorf("it belongs to another list")
	}
	if err != nil {
		return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "nextToken", "the token does not go on with this list: %v; leave it out to begin again", err)
	}
	return append(key, 0), nil
}

// Token is the token of the page behind a key.
func Token(key []byte) string { return encode(key) }

func encode(key []byte) string { return base64.RawURLEncoding.EncodeToString(key) }

func decode(token string) ([]byte, error) {
	if len(token) > tokenMax {
		return nil, fmt.Errorf("it has %d characters; none has more than %d", len(token), tokenMax)
	}
	key, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || encode(key) != token { // the decoder passes over line ends
		return nil, fmt.Errorf("it is no token")
	}
	return key, nil
}

// Row reads a row's value. A row that does not decode is damage: it panics with *kv.Failure, as a store does.
func Row[M any, P interface {
	*M
	UnmarshalVT([]byte) error
}](value []byte) P {
	row := P(new(M))
	if err := row.UnmarshalVT(value); err != nil {
		panic(&kv.Failure{Op: "read row", Err: fmt.Errorf("%T: %w (projections rebuild makes it anew)", row, err)})
	}
	return row
}

// Value is the twin of Row.
func Value(row interface{ MarshalVT() ([]byte, error) }) []byte {
	value, err := row.MarshalVT()
	if err != nil {
		panic(fmt.Sprintf("a row of %T cannot be encoded: %v", row, err)) // only a string that is not UTF-8 could do it
	}
	return value
}

// NotFound refuses a query for a name that names nothing. Field is spelled as the AWS API spells it.
func NotFound(field, what, name string) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, field, "there is no %s %s", what, name)
}

// Invalid refuses a query for a field that is malformed.
func Invalid(field string, err error) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, field, "%v", err)
}
