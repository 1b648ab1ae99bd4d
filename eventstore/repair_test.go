package eventstore_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/memory"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

func TestAForeignMessageStopsReadersWithItsNumber(t *testing.T) {
	other := newFixture(t, 3)
	commitOfAnotherNumber, _ := other.Raw(ctx, 2)
	for name, data := range map[string][]byte{
		"bytes that are no protobuf":     []byte("hello"),
		"no bytes":                       {},
		"a commit of another number":     commitOfAnotherNumber.Data,
		"a message that looks like ours": {0x10, 0x05}, // Commit{Number: 5}
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, 4)
			f.backend.Publish(data)
			for _, read := range []func(eventstore.Mark, uint64) ([]uint64, error){f.readTo, f.follow} {
				got, err := read(eventstore.Mark{}, 5)
				var foreign *eventstore.ForeignError
				if !errors.As(err, &foreign) || foreign.Number != 5 || foreign.Log != id.JobLog {
					t.Fatalf("got %v, want a foreign message at 5", err)
				}
				if len(got) > 4 {
					t.Fatalf("%v were handed out", got)
				}
			}
		})
	}
}

func TestRepairGetsReadersPastForeignMessages(t *testing.T) {
	f := newFixture(t, 4)
	f.backend.Publish([]byte("one"))
	f.backend.Publish([]byte("two"))
	done, err := f.Repair(ctx, 5)
	if err != nil || len(done) != 1 || done[0].Number != 7 || len(done[0].Foreign) != 2 {
		t.Fatalf("got %+v, %v; want commit 7 to name 5 and 6", done, err)
	}
	f.goOnAfter(done[0].Mark)
	f.write(3)
	want := []uint64{1, 2, 3, 4, 7, 8, 9, 10}
	for after := range uint64(4) {
		for _, read := range []func(eventstore.Mark, uint64) ([]uint64, error){f.readTo, f.follow} {
			got, err := read(f.marks[after], 10)
			if err != nil && !errors.Is(err, errEnough) || !slices.Equal(got, want[after:]) {
				t.Fatalf("after %d: got %v, %v; want %v", after, got, err, want[after:])
			}
		}
	}
	repair, err := f.Read(ctx, 7)
	if err != nil || repair.Owner != eventstore.RepairOwner || repair.Epoch != 1 || repair.AtMs < 1_700_000_000_003 {
		t.Fatalf("the repair is %+v, %v; want owner, epoch and time to go on", repair, err)
	}
	if _, err := f.Repair(ctx, 5); !errors.Is(err, eventstore.ErrNothingForeign) {
		t.Fatalf("got %v, want that nothing is left to name", err)
	}
	r, err := f.Verify(ctx, nil)
	if err != nil || r.Commits != 8 || len(r.Foreign) != 2 || r.Foreign[0].Number != 5 || r.Last != 10 || r.Head != f.writer.Head {
		t.Fatalf("got %+v, %v", r, err)
	}
}

func TestRepairAfterRepair(t *testing.T) {
	f := newFixture(t, 2)
	for range 3 {
		f.backend.Publish([]byte("noise"))
		done, err := f.Repair(ctx, 0)
		if err != nil || len(done) != 1 {
			t.Fatalf("got %+v, %v", done, err)
		}
		f.goOnAfter(done[0].Mark)
		f.write(1)
	}
	if r, err := f.Verify(ctx, nil); err != nil || r.Commits != 8 || len(r.Foreign) != 3 {
		t.Fatalf("got %+v, %v", r, err)
	}
}

func TestAForeignMessageInTheMiddleCanBeNamedAtTheEnd(t *testing.T) {
	f := newFixture(t, 3)
	f.backend.Publish([]byte("noise"))
	rec, _ := f.Raw(ctx, 4)
	sealed, err := eventstore.Seal(&v1.Commit{Number: 4}) // for its type only: the mark of the noise
	if err != nil {
		t.Fatal(err)
	}
	sealed.Hash = hashOf(rec.Data)
	f.goOnAfter(sealed.Mark()) // a writer that went on from the raw bytes
	f.write(3)
	var foreign *eventstore.ForeignError
	if _, err := f.readTo(eventstore.Mark{}, 7); !errors.As(err, &foreign) || foreign.Number != 4 {
		t.Fatalf("got %v, want a foreign message at 4", err)
	}
	done, err := f.Repair(ctx, 0)
	if err != nil || len(done) != 1 || done[0].Number != 8 || done[0].Foreign[0].Number != 4 {
		t.Fatalf("got %+v, %v; want commit 8 to name 4", done, err)
	}
	if got, err := f.readTo(eventstore.Mark{}, 8); err != nil || !slices.Equal(got, []uint64{1, 2, 3, 5, 6, 7, 8}) {
		t.Fatalf("got %v, %v", got, err)
	}
}

func TestManyForeignMessagesTakeSeveralCommits(t *testing.T) {
	f := newFixture(t, 1)
	const n = 9000
	for range n {
		f.backend.Publish([]byte("noise"))
	}
	done, err := f.Repair(ctx, 0)
	if err != nil || len(done) != 3 {
		t.Fatalf("got %d commits, %v; want 3", len(done), err)
	}
	for _, d := range done {
		if rec, _ := f.Raw(ctx, d.Number); len(rec.Data) > 256<<10 {
			t.Errorf("commit %d has %d bytes", d.Number, len(rec.Data))
		}
	}
	if r, err := f.Verify(ctx, nil); err != nil || r.Commits != 4 || len(r.Foreign) != n {
		t.Fatalf("got %d commits, %d foreign, %v", r.Commits, len(r.Foreign), err)
	}
}

func TestANameWithAnotherHashDoesNotPass(t *testing.T) {
	f := newFixture(t, 2)
	f.backend.Publish([]byte("noise"))
	f.backend.Publish([]byte("more")) // says nothing of what stands before it
	if _, err := f.Repair(ctx, 0); err != nil {
		t.Fatal(err)
	}
	f.backend.Change(3, func([]byte) []byte { return []byte("other") })
	got, err := f.readTo(eventstore.Mark{}, 5)
	var damage *eventstore.DamageError
	if !errors.As(err, &damage) || damage.First != 3 || len(got) > 2 {
		t.Fatalf("got %v, %v; want damage at 3", got, err)
	}
}

func TestRepairRefusesDamage(t *testing.T) {
	for name, damage := range map[string]func(*memory.Backend){
		"a lost commit": func(b *memory.Backend) { b.Lose(3) },
		"a commit overwritten by bytes that do not decode": func(b *memory.Backend) {
			b.Change(3, func([]byte) []byte { return []byte("hello") })
		},
		"a lost commit behind a foreign message": func(b *memory.Backend) { b.Publish([]byte("x")); b.Publish([]byte("y")); b.Lose(6) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, 5)
			damage(f.backend)
			_, last, _ := f.Bounds(ctx)
			var damaged *eventstore.DamageError
			if _, err := f.Repair(ctx, 0); !errors.As(err, &damaged) {
				t.Fatalf("got %v, want damage", err)
			}
			if _, now, _ := f.Bounds(ctx); now != last {
				t.Fatal("something was appended")
			}
		})
	}
}

func TestRepairRefusesALogThatNobodyOpened(t *testing.T) {
	b := memory.New()
	log := eventstore.New(id.JobLog, b)
	if _, err := log.Repair(ctx, 0); !errors.Is(err, eventstore.ErrNothingForeign) {
		t.Fatalf("empty: got %v", err)
	}
	b.Publish([]byte("hello"))
	if done, err := log.Repair(ctx, 0); err == nil {
		t.Fatalf("got %+v, want an error", done)
	}
}

func TestVerifyTellsHowFarItIs(t *testing.T) {
	f := newFixture(t, 2500)
	var steps []uint64
	r, err := f.Verify(ctx, func(done, last uint64) {
		if last != 2500 {
			t.Errorf("last is %d", last)
		}
		steps = append(steps, done)
	})
	if err != nil || r.Commits != 2500 || r.Entries != 2500 || r.First != 1 || r.Last != 2500 || r.Bytes == 0 {
		t.Fatalf("got %+v, %v", r, err)
	}
	if !slices.Equal(steps, []uint64{1000, 2000, 2500}) {
		t.Fatalf("told %v", steps)
	}
	if chain, err := f.VerifyChain(ctx, nil); err != nil || !reflect.DeepEqual(chain, r) {
		t.Fatalf("the chain: got %+v, %v; want %+v", chain, err, r)
	}
	f.backend.Lose(1500)
	if r, err = f.Verify(ctx, nil); err == nil || r.Last != 1499 {
		t.Fatalf("got %+v, %v; want a report up to 1499", r, err)
	}
}
