package job

import (
	"encoding/binary"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// The tables. A job's row is written at each change of its status, so what never changes and may be large stands
// apart.
const (
	tableID         = 'i' // job id → job number, 8 bytes
	tableJob        = 'j' // job number → v1.JobRow without document and targets
	tableDefinition = 'd' // job number → v1.JobRow with document and targets alone
)

func idKey(job id.Job) kv.Key            { return kv.NewKey(tableID).String(string(job)) }
func jobKey(number uint64) kv.Key        { return kv.NewKey(tableJob).Uint(number) }
func definitionKey(number uint64) kv.Key { return kv.NewKey(tableDefinition).Uint(number) }

// find is the row of the job that an id names, or nil.
func find(r kv.Reader, job id.Job) *v1.JobRow {
	value, ok := r.Get(idKey(job))
	if !ok {
		return nil
	}
	return load(r, binary.BigEndian.Uint64(value))
}

// load is the row of a job number, or nil.
func load(r kv.Reader, number uint64) *v1.JobRow {
	value, ok := r.Get(jobKey(number))
	if !ok {
		return nil
	}
	row := new(v1.JobRow)
	decode(row, value)
	return row
}

// complete adds document and targets to a row.
func complete(r kv.Reader, row *v1.JobRow) {
	if value, ok := r.Get(definitionKey(row.Job)); ok {
		decode(row, value) // decoding into a message that holds something merges
	}
}

func decode(row *v1.JobRow, value []byte) {
	if err := row.UnmarshalVT(value); err != nil {
		panic(&kv.Failure{Op: "decode a job's row", Err: err})
	}
}

func store(tx kv.Tx, key kv.Key, row *v1.JobRow) {
	value, err := row.MarshalVT()
	if err != nil {
		panic(&kv.Failure{Op: "encode a job's row", Err: err})
	}
	tx.Set(key, value)
}
