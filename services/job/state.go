package job

import (
	"encoding/binary"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// stateVersion is raised when the rows below come to be others (core.Core).
const stateVersion = 1

// The tables. A job's row is written at each change of its status, so what seldom changes and may be large stands
// apart. What waits for a time is found by that time: a million jobs that wait cost nothing.
const (
	tableID         = 'i' // job id → job number, 8 bytes
	tableJob        = 'j' // job number → v1.JobRow without what stands in its definition
	tableDefinition = 'd' // job number → v1.JobRow with targets, document, parameters and package versions alone
	tableMoments    = 'm' // job number → moments, of a job that waits for one
	tableNext       = 'n' // ms, job number → nothing: the earlier of its moments
	tableEnded      = 'r' // ms, job number → nothing: when it was completed or canceled
	tableCount      = 'c' // which → 8 bytes
	tableTemplate   = 't' // template id → v1.TemplateRow
	tableEvents     = 'e' // category, one byte → nothing, if its events are published
)

func idKey(job id.Job) kv.Key            { return kv.NewKey(tableID).String(string(job)) }
func jobKey(number uint64) kv.Key        { return kv.NewKey(tableJob).Uint(number) }
func definitionKey(number uint64) kv.Key { return kv.NewKey(tableDefinition).Uint(number) }
func momentsKey(number uint64) kv.Key    { return kv.NewKey(tableMoments).Uint(number) }
func nextKey(atMs int64, number uint64) kv.Key {
	return kv.NewKey(tableNext).Uint(uint64(atMs)).Uint(number)
}
func endedKey(atMs int64, number uint64) kv.Key {
	return kv.NewKey(tableEnded).Uint(uint64(atMs)).Uint(number)
}
func countKey(which counter) kv.Key { return append(kv.NewKey(tableCount), byte(which)) }

// find is the row of the job that an id names, or nil.
func find(r kv.Reader, job id.Job) *v1.JobRow {
	value, ok := r.Get(idKey(job))
	if !ok {
		return nil
	}
	return load(r, binary.BigEndian.Uint64(value))
}

// load is the row of a job number, or nil.
func load(r kv.Reader, number uint64) *v1.JobRow { return loadKey(r, jobKey(number)) }

func loadKey(r kv.Reader, key kv.Key) *v1.JobRow {
	value, ok := r.Get(key)
	if !ok {
		return nil
	}
	row := new(v1.JobRow)
	decode(row, value)
	return row
}

// complete adds what stands in the definition to a row.
func complete(r kv.Reader, row *v1.JobRow) {
	if value, ok := r.Get(definitionKey(row.Job)); ok {
		decode(row, value) // decoding into a message that holds something merges
	}
}

func decode(row interface{ UnmarshalVT([]byte) error }, value []byte) {
	if err := row.UnmarshalVT(value); err != nil {
		panic(&kv.Failure{Op: "decode a row", Err: err})
	}
}

func store(tx kv.Tx, key kv.Key, row interface{ MarshalVT() ([]byte, error) }) {
	value, err := row.MarshalVT()
	if err != nil {
		panic(&kv.Failure{Op: "encode a row", Err: err})
	}
	tx.Set(key, value)
}

// counter is something that a limit bounds.
type counter byte

const (
	activeJobs counter = 'a' // SCHEDULED or IN_PROGRESS
	deletions  counter = 'd' // DELETION_IN_PROGRESS
	templates  counter = 't'
)

func count(r kv.Reader, which counter) uint64 {
	value, ok := r.Get(countKey(which))
	if !ok {
		return 0
	}
	return binary.BigEndian.Uint64(value)
}

// add changes a count; one that is 0 has no row.
func add(tx kv.Tx, which counter, by int) {
	if by == 0 {
		return
	}
	n := count(tx, which) + uint64(by)
	if n == 0 {
		tx.Delete(countKey(which))
		return
	}
	tx.Set(countKey(which), binary.BigEndian.AppendUint64(nil, n))
}

// moments is what a job waits for, in ms since the epoch; 0 is none.
type moments struct {
	change int64 // its start, or the next opening or closing of its window
	end    int64
	// It has windows and has started: the first of them opened.
	started bool
}

// next is the earlier of them.
func (m moments) next() int64 {
	if m.change == 0 || m.end != 0 && m.end < m.change {
		return m.end
	}
	return m.change
}

func momentsOf(r kv.Reader, number uint64) (m moments) {
	value, ok := r.Get(momentsKey(number))
	if !ok {
		return m
	}
	f := kv.NewFields(value)
	m.change, m.end, m.started = f.Int(), f.Int(), f.Bool()
	f.Must("a job's moments")
	return m
}

// await replaces what a job waits for.
func await(tx kv.Tx, number uint64, m moments) {
	had := momentsOf(tx, number)
	if m == had {
		return
	}
	if had.next() != m.next() {
		if at := had.next(); at != 0 {
			tx.Delete(nextKey(at, number))
		}
		if at := m.next(); at != 0 {
			tx.Set(nextKey(at, number), nil)
		}
	}
	if m == (moments{}) {
		tx.Delete(momentsKey(number))
		return
	}
	tx.Set(momentsKey(number), kv.Row(nil).Int(m.change).Int(m.end).Bool(m.started))
}
