package eventstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// whole is a commit with every field.
func whole() *v1.Commit {
	return &v1.Commit{
		LogId: bytes.Repeat([]byte{7}, 16), Number: 300, PreviousHash: bytes.Repeat([]byte{9}, 32), Owner: "o", Epoch: 2, AtMs: 1_700_000_000_000,
		Cursors:     []*v1.Cursor{{Service: v1.Service_SERVICE_ROLLOUT, Number: 5, EntriesDone: 2, Hash: 1 << 63}},
		EffectsDone: 299,
		Tallies: []*v1.Tally{
			{Job: 1 << 40, Attempts: []*v1.StatusCount{{Status: v1.ExecutionStatus_EXECUTION_STATUS_QUEUED, Count: -3}}, Open: -1, Good: 1},
			{Job: 7, Settled: v1.JobPhase_JOB_PHASE_CLOSED},
		},
		ReaderVersion: 1,
		Entries: []*v1.Entry{
			{Event: &v1.Event{Event: &v1.Event_JobStarted{JobStarted: &v1.JobStarted{Job: 1}}}},
			{Event: &v1.Event{Event: &v1.Event_JobCompleted{JobCompleted: &v1.JobCompleted{Job: 1}}}},
		},
	}
}

func TestOurEncoderPutsEntriesLast(t *testing.T) {
	c := whole()
	data, err := c.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	c.Entries = nil
	front, _ := c.MarshalVT()
	if got, entries := split(data); got != len(front) || entries != 2 || !bytes.HasPrefix(data, front) {
		t.Fatalf("entries begin at %d, want %d", got, len(front))
	}
}

func TestTalliesAreDecodedWhereverTheFieldsStand(t *testing.T) {
	c := whole()
	data, _ := c.MarshalVT()
	c.Entries = nil
	at, _ := split(data)
	for name, data := range map[string][]byte{
		"in order":                    data,
		"entries first":               append(bytes.Clone(data[at:]), data[:at]...),
		"an unknown field at the end": append(bytes.Clone(data), 0xfa, 0x07, 1, 'x'),
	} {
		got, entries, err := decodeTallies(data)
		if err != nil || entries != 2 {
			t.Fatalf("%s: %d entries, %v", name, entries, err)
		}
		got.ProtoReflect().SetUnknown(nil)
		if !proto.Equal(got, c) {
			t.Errorf("%s: got %v, want %v", name, got, c)
		}
	}
}

// What the whole decoder reads, the partial one reads too, and the same but for the entries.
func FuzzTalliesAgreeWithTheWholeCommit(f *testing.F) {
	data, _ := whole().MarshalVT()
	f.Add(data)
	f.Add(append(bytes.Clone(data[20:]), data[:20]...))
	f.Add([]byte{})
	f.Add([]byte{entriesTag, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		want, entries, err := decodeWhole(data)
		got, gotEntries, gotErr := decodeTallies(data)
		if err != nil {
			return // the partial decoder does not look into entries
		}
		want.Entries = nil
		if gotErr != nil || gotEntries != entries || !proto.Equal(got, want) {
			t.Fatalf("got %v, %v; want %v", got, gotErr, want)
		}
	})
}

// one is a log of one message behind a known end.
type one struct {
	Backend
	rec Record
}

func (o one) Get(context.Context, uint64) (Record, error)            { return o.rec, nil }
func (o one) Bounds(context.Context) (first, last uint64, err error) { return 1, o.rec.Number, nil }
func (o one) Follow(_ context.Context, _ uint64, deliver func(Record) error) error {
	return deliver(o.rec)
}

// Whatever stands in a log, a reader hands it out only if it is a commit that says what it must, and else says why not.
func FuzzAReaderHandsOutCommitsOnly(f *testing.F) {
	opening := &v1.Commit{LogId: make([]byte, 16), Number: 1, Entries: []*v1.Entry{{Event: &v1.Event{Event: &v1.Event_LogOpened{
		LogOpened: &v1.LogOpened{Service: v1.Service_SERVICE_JOB},
	}}}}}
	data, _ := opening.MarshalVT()
	f.Add(data, true)
	data, _ = whole().MarshalVT()
	f.Add(data, false)
	f.Add([]byte("hello"), true)
	f.Fuzz(func(t *testing.T, data []byte, first bool) {
		l := New(id.JobLog, one{rec: Record{Number: 300, Data: data}})
		c := &chain{log: l, decode: decodeTallies, at: Mark{Number: 299, Hash: Hash(bytes.Repeat([]byte{9}, 32))}, id: bytes.Repeat([]byte{7}, 16)}
		if first {
			l = New(id.JobLog, one{rec: Record{Number: 1, Data: data}})
			c = &chain{log: l, decode: decodeTallies}
		}
		rec, _ := l.backend.Get(t.Context(), 0)
		commit, err := c.next(t.Context(), rec)
		if err != nil {
			var foreign *ForeignError
			var damage *DamageError
			var version *VersionError
			if !errors.As(err, &foreign) && !errors.As(err, &damage) && !errors.As(err, &version) {
				t.Fatalf("got %v", err)
			}
			return
		}
		if commit.Number != rec.Number || len(commit.LogId) != 16 || commit.Hash != sha256.Sum256(data) || c.at != commit.Mark() {
			t.Fatalf("handed out %v", commit)
		}
	})
}
