package body

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// Enum reads the value of an enum as AWS spells it, the twin of v1.EnumName. Empty is the unspecified value.
func Enum[E protoreflect.Enum](field, s string, _ E) (protoreflect.EnumNumber, error) {
	var zero E
	d := zero.Descriptor()
	if s == "" {
		return 0, nil
	}
	var allowed []string
	for i := 1; i < d.Values().Len(); i++ {
		v := d.Values().Get(i)
		name := strings.TrimPrefix(string(v.Name()), v1.EnumPrefix(d))
		if s == name {
			return v.Number(), nil
		}
		allowed = append(allowed, name)
	}
	return 0, invalid(field, "%.40q is none of %s", s, strings.Join(allowed, ", "))
}

// FailureType reads FAILED, TIMED_OUT, ALL, and where it may be counted REJECTED.
func FailureType(field, s string, rejected bool) (v1.FailureType, error) {
	n, err := Enum(field, s, v1.FailureType(0))
	t := v1.FailureType(n)
	if err == nil && t == v1.FailureType_FAILURE_TYPE_UNSPECIFIED {
		err = invalid(field, "is missing")
	}
	if err == nil && t == v1.FailureType_FAILURE_TYPE_REJECTED && !rejected {
		err = invalid(field, "REJECTED is never retried; FAILED, TIMED_OUT or ALL is allowed")
	}
	return t, err
}

// Moment checks a time as AWS writes it (UTC) or as RFC 3339. AWS's form stays as it was given (U15); the other is
// written in UTC, for a zone is not a time's to keep.
func Moment(field, s string) (string, error) {
	if s == "" {
		return "", nil
	}
	if _, err := time.Parse("2006-01-02 15:04", s); err == nil {
		return s, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Nanosecond() != 0 {
		return "", invalid(field, "%.40q: 2026-11-29 02:30 (UTC) or 2026-11-29T02:30:00Z is expected", s)
	}
	return t.UTC().Format(time.RFC3339), nil
}

// Decimal reads a number with at most so many decimals as a whole number of its last place: Decimal("2.5", 2) is 250.
// It must be more than 0 and at most 42,000,000 of them.
func Decimal(s string, places int) (uint32, error) {
	whole, part, point := strings.Cut(s, ".")
	bad := fmt.Errorf("is %.40q; a number with at most %s is needed", s, decimals(places))
	if whole == "" || point && part == "" || len(part) > places || len(whole) > 7 {
		return 0, bad
	}
	n, err := strconv.ParseUint(whole+part+strings.Repeat("0", places-len(part)), 10, 32)
	if err != nil || n == 0 {
		return 0, bad
	}
	return uint32(n), nil
}

// SortedOnce sorts pairs by their key and refuses a key that stands there twice.
func SortedOnce[T any](field string, list []T, key func(T) string) ([]T, error) {
	slices.SortStableFunc(list, func(x, y T) int { return strings.Compare(key(x), key(y)) })
	for i := 1; i < len(list); i++ {
		if key(list[i]) == key(list[i-1]) {
			return nil, invalid(field, "%.40q stands there twice", key(list[i]))
		}
	}
	return list, nil
}

func decimals(n int) string {
	if n == 1 {
		return "1 decimal"
	}
	return strconv.Itoa(n) + " decimals"
}
