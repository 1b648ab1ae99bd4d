package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/eventstoretest"
	"github.com/droverhq/drover/eventstore/memory"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

var ctx = context.Background()

// fixture is a log in memory with n commits, and the marks of all of them from 0 on.
type fixture struct {
	*eventstore.Log
	backend *memory.Backend
	writer  *eventstoretest.Writer
	marks   []eventstore.Mark
}

func newFixture(t testing.TB, n int) *fixture {
	t.Helper()
	b := memory.New()
	f := &fixture{Log: eventstore.New(id.JobLog, b), backend: b, marks: []eventstore.Mark{{}}}
	f.writer = eventstoretest.NewWriter(t, f.Log)
	f.marks = append(f.marks, f.writer.Head)
	f.write(n - 1)
	return f
}

func (f *fixture) write(n int) {
	for range n {
		f.writer.Event(jobStarted(f.writer.Head.Number + 1))
		f.marks = append(f.marks, f.writer.Head)
	}
}

// repaired lets the writer go on behind a repair.
func (f *fixture) goOnAfter(m eventstore.Mark) {
	for uint64(len(f.marks)) <= m.Number {
		f.marks = append(f.marks, eventstore.Mark{})
	}
	f.marks[m.Number] = m
	f.writer.Head = m
}

func jobStarted(job uint64) *v1.Event {
	return &v1.Event{Event: &v1.Event_JobStarted{JobStarted: &v1.JobStarted{Job: job}}}
}

// readTo is the numbers that are handed out, and the error.
func (f *fixture) readTo(after eventstore.Mark, last uint64) (numbers []uint64, err error) {
	err = f.ReadTo(ctx, after, last, func(c *eventstore.Commit) error {
		numbers = append(numbers, c.Number)
		return nil
	})
	return numbers, err
}

var errEnough = errors.New("enough")

// follow is the numbers that Follow hands out until it fails or has handed out last.
func (f *fixture) follow(after eventstore.Mark, last uint64) (numbers []uint64, err error) {
	err = f.Follow(ctx, after, func(c *eventstore.Commit) error {
		numbers = append(numbers, c.Number)
		if c.Number == last {
			return errEnough
		}
		return nil
	})
	return numbers, err
}

func numbers(from, to uint64) (ns []uint64) {
	for n := from; n <= to; n++ {
		ns = append(ns, n)
	}
	return ns
}

func TestAReaderGetsEveryCommitInOrderFromAnyMark(t *testing.T) {
	f := newFixture(t, 10)
	for after := range uint64(10) {
		for last := after; last <= 10; last++ {
			got, err := f.readTo(f.marks[after], last)
			if err != nil || !slices.Equal(got, numbers(after+1, last)) {
				t.Fatalf("after %d to %d: got %v, %v", after, last, got, err)
			}
		}
		got, err := f.follow(f.marks[after], 10)
		if !errors.Is(err, errEnough) || !slices.Equal(got, numbers(after+1, 10)) {
			t.Fatalf("follow after %d: got %v, %v", after, got, err)
		}
	}
}

func TestAFollowerIsHandedWhatIsAppendedLater(t *testing.T) {
	f := newFixture(t, 3)
	ctx, cancel := context.WithCancel(ctx)
	got := make(chan *eventstore.Commit, 10)
	done := make(chan error)
	go func() {
		done <- f.Follow(ctx, eventstore.Mark{}, func(c *eventstore.Commit) error { got <- c; return nil })
	}()
	for n := uint64(1); n <= 6; n++ {
		if n > 3 {
			f.write(1)
		}
		c := <-got
		if c.Number != n || c.Mark() != f.marks[n] || len(c.Entries) != 1 || c.Log != id.JobLog {
			t.Fatalf("got %+v, want commit %d", c, n)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want that it was canceled", err)
	}
}

func TestDamageIsNamedAndNothingOfItIsHandedOut(t *testing.T) {
	change := func(data []byte) []byte { data[len(data)-1] ^= 1; return data }
	for _, tc := range []struct {
		name        string
		damage      func(*memory.Backend)
		after       uint64
		first, last uint64
		handed      uint64
	}{
		{"a commit in the middle is lost", func(b *memory.Backend) { b.Lose(5) }, 0, 5, 5, 3},
		{"three in the middle are lost", func(b *memory.Backend) { b.Lose(5); b.Lose(6); b.Lose(7) }, 2, 5, 7, 3},
		{"the first is lost", func(b *memory.Backend) { b.Lose(1) }, 0, 1, 1, 0},
		{"the last is lost", func(b *memory.Backend) { b.Lose(10) }, 0, 10, 10, 9},
		{"the last three are lost", func(b *memory.Backend) { b.Lose(8); b.Lose(9); b.Lose(10) }, 0, 8, 10, 7},
		{"all are lost", func(b *memory.Backend) {
			for n := uint64(1); n <= 10; n++ {
				b.Lose(n)
			}
		}, 0, 1, 10, 0},
		{"the end is cut off", func(b *memory.Backend) { b.Cut(7) }, 0, 8, 10, 7},
		{"the end is cut off before the mark", func(b *memory.Backend) { b.Cut(7) }, 9, 8, 9, 7},
		{"a commit was changed", func(b *memory.Backend) { b.Change(5, change) }, 0, 5, 6, 4},
		{"the commit at the mark was changed", func(b *memory.Backend) { b.Change(5, change) }, 5, 5, 5, 4},
		{"the commit at the mark is lost", func(b *memory.Backend) { b.Lose(5) }, 5, 5, 5, 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t, 10)
			tc.damage(f.backend)
			got, err := f.readTo(f.marks[tc.after], 10)
			var damage *eventstore.DamageError
			if !errors.As(err, &damage) || damage.Log != id.JobLog || damage.First != tc.first || damage.Last != tc.last {
				t.Fatalf("got %v, want damage at %d to %d", err, tc.first, tc.last)
			}
			if len(got) > 0 && got[len(got)-1] > tc.handed {
				t.Fatalf("%v were handed out, want none above %d", got, tc.handed)
			}
		})
	}
}

func TestAFollowerStopsAtDamageThatHappensBehindIt(t *testing.T) {
	f := newFixture(t, 5)
	done, got := make(chan error), make(chan uint64, 10)
	go func() {
		done <- f.Follow(ctx, eventstore.Mark{}, func(c *eventstore.Commit) error { got <- c.Number; return nil })
	}()
	for range 5 {
		<-got
	}
	f.writer.Head.Hash[0] ^= 1 // the next commit names other bytes
	f.write(1)
	var damage *eventstore.DamageError
	if err := <-done; !errors.As(err, &damage) || damage.Last != 6 {
		t.Fatalf("got %v, want damage at 6", err)
	}
}

func TestALogOfAnotherNameOrIDIsNotRead(t *testing.T) {
	f := newFixture(t, 3)
	other := eventstore.New(id.ExecutionLog(2), f.backend)
	var damage *eventstore.DamageError
	if _, err := other.Verify(ctx, nil); !errors.As(err, &damage) {
		t.Fatalf("log job read as execution.2: got %v, want damage", err)
	}
	f.writer.LogID = make([]byte, 16)
	f.write(1)
	var foreign *eventstore.ForeignError
	if _, err := f.readTo(eventstore.Mark{}, 4); !errors.As(err, &foreign) || foreign.Number != 4 {
		t.Fatalf("another log's commit: got %v, want it foreign at 4", err)
	}
}

func TestACommitForANewerReaderStopsThisOne(t *testing.T) {
	f := newFixture(t, 2)
	f.writer.Append(&v1.Commit{ReaderVersion: eventstore.ReaderVersion + 1})
	var version *eventstore.VersionError
	if got, err := f.readTo(eventstore.Mark{}, 3); !errors.As(err, &version) || version.Number != 3 || len(got) > 2 {
		t.Fatalf("got %v, %v; want a version error at 3", got, err)
	}
}

func TestReadIsOneCommitAndRawIsAnyMessage(t *testing.T) {
	f := newFixture(t, 2)
	f.backend.Publish([]byte("no commit"))
	c, err := f.Read(ctx, 2)
	if err != nil || c.Mark() != f.marks[2] || c.Entries[0].GetEvent().GetJobStarted().GetJob() != 2 {
		t.Fatalf("got %v, %v", c, err)
	}
	var foreign *eventstore.ForeignError
	if _, err := f.Read(ctx, 3); !errors.As(err, &foreign) {
		t.Fatalf("got %v, want it foreign", err)
	}
	if rec, err := f.Raw(ctx, 3); err != nil || string(rec.Data) != "no commit" {
		t.Fatalf("got %v, %v", rec, err)
	}
	if _, err := f.Read(ctx, 4); !errors.Is(err, eventstore.ErrNotFound) {
		t.Fatalf("got %v, want ErrNotFound", err)
	}
}

func TestHoldsComparesWhatWasSeen(t *testing.T) {
	f := newFixture(t, 3)
	for n := range uint64(4) {
		m := f.marks[n]
		if err := errors.Join(f.Holds(ctx, m), f.HoldsPrefix(ctx, n, m.Hash.Prefix())); err != nil {
			t.Fatalf("%d: %v", n, err)
		}
	}
	var damage *eventstore.DamageError
	for _, m := range []eventstore.Mark{{Number: 2, Hash: f.marks[1].Hash}, {Number: 4, Hash: f.marks[1].Hash}} {
		if err := f.Holds(ctx, m); !errors.As(err, &damage) {
			t.Fatalf("%v: got %v, want damage", m, err)
		}
		if err := f.HoldsPrefix(ctx, m.Number, m.Hash.Prefix()); !errors.As(err, &damage) {
			t.Fatalf("%v: got %v, want damage", m, err)
		}
	}
}

func ExampleLog_ReadTo() {
	log := eventstore.New(id.JobLog, memory.New())
	sealed, _ := eventstore.Seal(&v1.Commit{LogId: make([]byte, 16), Number: 1, Entries: []*v1.Entry{{Event: &v1.Event{
		Event: &v1.Event_LogOpened{LogOpened: &v1.LogOpened{Service: v1.Service_SERVICE_JOB, Format: 1, Homes: 1, HomeHash: "fnv1a32"}},
	}}}})
	fmt.Println(log.Append(ctx, sealed))
	fmt.Println(log.ReadTo(ctx, eventstore.Mark{}, 1, func(c *eventstore.Commit) error {
		fmt.Println(c.Log, c.Number, c.Mark() == sealed.Mark())
		return nil
	}))
	// Output:
	// <nil>
	// job 1 true
	// <nil>
}
