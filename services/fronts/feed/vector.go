package feed

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/proto/id"
)

// headerVector stands on the last message of each batch, and says up to where all is in the feed; headerFeeder says who
// wrote it.
const (
	headerVector = "Drover-Feed-Vector"
	headerFeeder = "Drover-Feeder"
)

// place is how much of one log is in the feed: every commit up to number, and of the commit behind that the first `done`
// entries. Prefix is that of the hash of commit number, so that a log that was cut or replaced is noticed.
type place struct {
	number uint64
	done   int
	prefix uint64
}

// vector is how much of every log is in the feed. A log that is missing has nothing there.
type vector map[id.Log]place

// String is what stands in the header, in the order of the logs; some 35 bytes a log:
//
//	job@12#00f3c1a2b4d5e6f7 execution.0@811+300#9a…    300 entries of the commit behind 811
func (v vector) String() string {
	var out strings.Builder
	for _, log := range slices.SortedFunc(maps.Keys(v), id.Log.Compare) {
		p := v[log]
		if out.Len() > 0 {
			out.WriteByte(' ')
		}
		fmt.Fprintf(&out, "%s@%d", log, p.number)
		if p.done > 0 {
			fmt.Fprintf(&out, "+%d", p.done)
		}
		fmt.Fprintf(&out, "#%016x", p.prefix)
	}
	return out.String()
}

// vectorMax bounds the header; the server takes 64 KiB of all headers.
const vectorMax = 48 << 10

// parseVector is the twin of String: it takes what String writes and nothing else.
func parseVector(s string) (vector, error) {
	if len(s) > vectorMax {
		return nil, fmt.Errorf("a vector of %d bytes", len(s))
	}
	v := vector{}
	for text := range strings.SplitSeq(s, " ") {
		log, p, err := parsePlace(text)
		if err != nil {
			return nil, fmt.Errorf("%.60q in a vector is not LOG@NUMBER[+DONE]#HASH: %w", text, err)
		}
		v[log] = p
	}
	if v.String() != s {
		return nil, errors.New("a vector that is not as it would be written")
	}
	return v, nil
}

func parsePlace(s string) (log id.Log, p place, err error) {
	name, rest, found := strings.Cut(s, "@")
	if log, err = id.ParseLog(name); err != nil {
		return log, p, err
	}
	rest, hash, hashed := strings.Cut(rest, "#")
	if !found || !hashed {
		return log, p, strconv.ErrSyntax
	}
	number, done, within := strings.Cut(rest, "+")
	if p.number, err = strconv.ParseUint(number, 10, 64); err != nil {
		return log, p, err
	}
	if within {
		if p.done, err = strconv.Atoi(done); err != nil {
			return log, p, err
		}
	}
	p.prefix, err = strconv.ParseUint(hash, 16, 64)
	return log, p, err
}

// past moves a log on behind a whole commit.
func (v vector) past(c *eventstore.Commit) {
	v[c.Log] = place{number: c.Number, prefix: c.Hash.Prefix()}
}

// within moves a log on into the commit behind number: done of its entries are passed.
func (v vector) within(log id.Log, done int) {
	p := v[log]
	p.done = done
	v[log] = p
}

func (v vector) clone() vector { return maps.Clone(v) }
