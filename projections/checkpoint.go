package projections

import (
	"encoding/binary"
	"fmt"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/proto/id"
)

// The runner's own rows, in table 0x00:
//
//	mark <log>           eventstore.Mark of the last commit that is folded: number, hash
const tableRunner = 0x00

// Version is that of all rows, of every model. It is raised by one whenever the same commits come to leave other rows:
// another table, key or encoding, or the same bytes with another meaning. Whoever opens a store passes it on: what is of
// another version is never read, but folded anew from the logs.
const Version = "2"

func markKey(log id.Log) kv.Key { return kv.NewKey(tableRunner).String("mark").String(log.String()) }

// FormatError says that a store has checkpoints of other logs, or that do not parse. Nothing is lost: remove it.
type FormatError struct{ Why string }

func (e *FormatError) Error() string {
	return "these are not read models that this version can go on with: " + e.Why + " (remove them: they are folded again from the logs)"
}

// marks reads the checkpoints of a store, or refuses it.
func marks(r kv.Reader, logs []*eventstore.Log) (at map[id.Log]eventstore.Mark, err error) {
	defer rescue(&err)
	at = map[id.Log]eventstore.Mark{}
	for _, log := range logs {
		m, err := readMark(r, log.Name())
		if err != nil {
			return nil, err
		}
		at[log.Name()] = m
	}
	all := kv.NewKey(tableRunner).String("mark")
	for key := range r.Scan(all, kv.PrefixEnd(all)) {
		name, _ := kv.CutString(key[len(all):])
		log, err := id.ParseLog(name)
		if _, followed := at[log]; err != nil || !followed {
			return nil, &FormatError{fmt.Sprintf("they were folded from a log %q too", name)}
		}
	}
	return at, nil
}

// readMark reads one checkpoint; Mark{} if there is none.
func readMark(r kv.Reader, log id.Log) (m eventstore.Mark, err error) {
	value, ok := r.Get(markKey(log))
	if !ok {
		return m, nil
	}
	if len(value) != 8+len(m.Hash) {
		return m, &FormatError{fmt.Sprintf("the checkpoint of log %s has %d bytes", log, len(value))}
	}
	m.Number = binary.BigEndian.Uint64(value)
	copy(m.Hash[:], value[8:])
	return m, nil
}

func writeMark(w kv.Writer, log id.Log, m eventstore.Mark) {
	w.Set(markKey(log), append(binary.BigEndian.AppendUint64(make([]byte, 0, 40), m.Number), m.Hash[:]...))
}
