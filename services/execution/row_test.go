package execution

import (
	"fmt"
	"testing"

	"github.com/droverhq/drover/projections/kv"
)

func FuzzThingRow(f *testing.F) {
	a := attempt{job: 7, jobID: []byte("fw"), thing: 3, number: 1, status: statusInProgress, version: 2, queuedAt: 1000, startedAt: 1000, updatedAt: 1005, stepDeadline: 61_005}
	f.Add([]byte(a.appendTo(kv.Row(nil).Uint(0))))
	a.flags = flags{forced: true, windowed: true, withdrawn: true, retried: true}
	a.retry, a.failed = 3, 2
	f.Add([]byte(a.appendTo(kv.Row(nil).Uint(9))))
	f.Fuzz(func(t *testing.T, row []byte) {
		parsed, fields := parseThing(row)
		if fields.Err() != nil {
			return
		}
		again := kv.Row(nil).Uint(parsed.forgotten)
		for i := range parsed.pending {
			again = parsed.pending[i].appendTo(again)
		}
		back, fields := parseThing(again)
		if fields.Err() != nil || fmt.Sprint(back) != fmt.Sprint(parsed) {
			t.Fatalf("%+v came back as %+v (%v)", parsed, back, fields.Err())
		}
	})
}

func FuzzDetailsRow(f *testing.F) {
	f.Add(encodeDetails(detail("a", "1", "b", "2")))
	f.Fuzz(func(t *testing.T, row []byte) {
		defer func() {
			if r := recover(); r != nil {
				if _, damaged := r.(*kv.Failure); !damaged {
					t.Fatalf("panic: %v", r)
				}
			}
		}()
		list := readDetails(row)
		if back := readDetails(encodeDetails(list)); fmt.Sprint(back) != fmt.Sprint(list) {
			t.Fatalf("%v came back as %v", list, back)
		}
	})
}
