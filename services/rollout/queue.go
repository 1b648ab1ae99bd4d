package rollout

import (
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// The queues of a job: what its selections found, which its pace binds, and what joined a target later, which it does not
// (specification §4.7, §4.10).
const (
	selected = iota
	joined
	queues
)

// queue is things in the order in which they came, in chunks of one event each.
type queue struct {
	chunks uint64 // how many there were
	// The first waiting thing is at this offset of this chunk.
	headChunk, headOffset uint64
	// How many things came, and what became of them.
	came, released, dropped uint64
}

func (q *queue) waiting() uint64 { return q.came - q.released - q.dropped }

func (q *queue) read(f *kv.Fields) {
	q.chunks, q.headChunk, q.headOffset = f.Uint(), f.Uint(), f.Uint()
	q.came, q.released, q.dropped = f.Uint(), f.Uint(), f.Uint()
}

func (q *queue) append(r kv.Row) kv.Row {
	r = r.Uint(q.chunks).Uint(q.headChunk).Uint(q.headOffset)
	return r.Uint(q.came).Uint(q.released).Uint(q.dropped)
}

func waitingKey(job uint64, which int, chunk uint64) kv.Key {
	return kv.NewKey(tableWaiting).Uint(job).Uint(uint64(which)).Uint(chunk)
}

// push adds a chunk that came with the event at a place.
func (q *queue) push(tx kv.Tx, number uint64, which int, chunk uint64, place uint64, things []*v1.ThingRef) {
	tx.Set(waitingKey(number, which, chunk), chunkRow(place, things))
	q.chunks = chunk + 1
	q.came += uint64(len(things))
}

// moveHead deletes the chunks that nothing waits in any more.
func (q *queue) moveHead(tx kv.Tx, number uint64, which int, chunk, offset uint64) {
	for ; q.headChunk < chunk; q.headChunk++ {
		tx.Delete(waitingKey(number, which, q.headChunk))
	}
	q.headOffset = offset
}

// chunkRow is a row of waiting things: the place of their event, how many, then name and number of each.
func chunkRow(place uint64, things []*v1.ThingRef) kv.Row {
	r := make(kv.Row, 0, 16+16*len(things)).Uint(place).Uint(uint64(len(things)))
	for _, t := range things {
		r = r.String(t.GetName()).Uint(t.GetNumber())
	}
	return r
}

// chunkReader goes through a chunk.
type chunkReader struct {
	fields kv.Fields
	Place  uint64
	Len    uint64 // in all
	at     uint64
}

// openChunk begins at an offset. A chunk that is not there is empty.
func openChunk(r kv.Reader, job uint64, which int, number, offset uint64) chunkReader {
	row, _ := r.Get(waitingKey(job, which, number))
	return newChunkReader(row, offset)
}

func newChunkReader(row []byte, offset uint64) chunkReader {
	c := chunkReader{fields: kv.NewFields(row)}
	if len(row) > 0 {
		c.Place, c.Len = c.fields.Uint(), c.fields.Uint()
	}
	for c.at < offset && c.at < c.Len && c.fields.More() {
		c.fields.Bytes()
		c.fields.Uint()
		c.at++
	}
	return c
}

// next is the next thing, or nil at the end.
func (c *chunkReader) next() *v1.ThingRef {
	if c.at >= c.Len || !c.fields.More() {
		return nil
	}
	c.at++
	return &v1.ThingRef{Name: c.fields.String(), Number: c.fields.Uint()}
}
