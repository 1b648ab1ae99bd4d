package projections

import (
	"errors"
	"testing"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/memory"
	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/proto/id"
)

func TestATableBelongsToOneModel(t *testing.T) {
	owner := map[byte]string{}
	for _, m := range models {
		for i := range len(m.tables) {
			if o, taken := owner[m.tables[i]]; taken {
				t.Errorf("table %q belongs to %s and to %s", m.tables[i], o, m.name)
			}
			owner[m.tables[i]] = m.name
		}
	}
	if len(owner) < 10 || modelOf([]byte("j123")) != "jobs" || modelOf([]byte("?")) != "no model" {
		t.Errorf("%d tables; j is of %s", len(owner), modelOf([]byte("j123")))
	}
}

// Whatever the runner's own rows hold, a store is gone on with or refused.
func FuzzCheckpoints(f *testing.F) {
	logs := []*eventstore.Log{eventstore.New(id.JobLog, memory.New())}
	f.Add(make([]byte, 40), "job")
	f.Add(make([]byte, 39), "execution.70000")
	f.Fuzz(func(t *testing.T, mark []byte, name string) {
		s := kv.NewOverlay(kv.NewMemory())
		s.Set(kv.NewKey(tableRunner).String("mark").String(name), mark)
		at, err := marks(s, logs)
		var format *FormatError
		if err != nil {
			if !errors.As(err, &format) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		again := kv.NewOverlay(kv.NewMemory())
		writeMark(again, id.JobLog, at[id.JobLog])
		same, err := marks(again, logs)
		if err != nil || same[id.JobLog] != at[id.JobLog] {
			t.Fatalf("%v became %v, %v", at, same, err)
		}
	})
}
