package eventstoretest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/droverhq/drover/eventstore"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// Suite checks the contract of eventstore.Backend. Open makes an empty log, for each test another one.
func Suite(t *testing.T, open func(t *testing.T) eventstore.Backend) {
	for _, tc := range []struct {
		name string
		test func(*testing.T, *suite)
	}{
		{"an empty log ends before it begins", testEmpty},
		{"what was appended is read as it was, by number", testAppendGet},
		{"an append anywhere but at the end is a conflict and stores nothing", testFence},
		{"of many who append at one number one gets it", testRace},
		{"writers who take turns leave no gap and no repeat", testTurns},
		{"a follower gets all from its number on, in order, then what comes", testFollow},
		{"followers end with their context, at once", testFollowEnds},
		{"a follower ends with the error of its deliver", testDeliverFails},
		{"nothing is done for a context that has ended", testEnded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			tc.test(t, &suite{open(t), ctx})
		})
	}
}

type suite struct {
	eventstore.Backend
	ctx context.Context
}

// fill appends messages from a number on to another.
func (s *suite) fill(t *testing.T, from, to uint64) {
	t.Helper()
	for n := from; n <= to; n++ {
		if err := s.Append(s.ctx, n, message(n)); err != nil {
			t.Fatalf("append %d: %v", n, err)
		}
	}
}

func message(n uint64) []byte { return fmt.Appendf(nil, "message %d", n) }

func (s *suite) bounds(t *testing.T, first, last uint64) {
	t.Helper()
	f, l, err := s.Bounds(s.ctx)
	if err != nil || f != first || l != last {
		t.Fatalf("bounds are %d to %d (%v), want %d to %d", f, l, err, first, last)
	}
}

func (s *suite) holds(t *testing.T, number uint64, data []byte) {
	t.Helper()
	rec, err := s.Get(s.ctx, number)
	if err != nil || rec.Number != number || !bytes.Equal(rec.Data, data) {
		t.Fatalf("get %d: %d, %d bytes (%v); want %d bytes", number, rec.Number, len(rec.Data), err, len(data))
	}
}

func testEmpty(t *testing.T, s *suite) {
	s.bounds(t, 1, 0)
	for n := range uint64(3) {
		if _, err := s.Get(s.ctx, n); !errors.Is(err, eventstore.ErrNotFound) {
			t.Fatalf("get %d: %v, want ErrNotFound", n, err)
		}
	}
}

func testAppendGet(t *testing.T, s *suite) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	datas := [][]byte{[]byte("x"), all, bytes.Repeat(all, 1024), []byte("header\r\n\r\n")}
	for i, data := range datas {
		sent := bytes.Clone(data)
		if err := s.Append(s.ctx, uint64(i+1), sent); err != nil {
			t.Fatal(err)
		}
		clear(sent) // the caller's bytes are his again
		s.bounds(t, 1, uint64(i+1))
	}
	for i, data := range datas {
		s.holds(t, uint64(i+1), data)
	}
	if _, err := s.Get(s.ctx, 5); !errors.Is(err, eventstore.ErrNotFound) {
		t.Fatalf("get behind the end: %v, want ErrNotFound", err)
	}
}

func testFence(t *testing.T, s *suite) {
	for _, last := range []uint64{0, 1, 3} {
		_, have, _ := s.Bounds(s.ctx)
		s.fill(t, have+1, last)
		for number := range last + 4 {
			if number == last+1 {
				continue
			}
			if err := s.Append(s.ctx, number, message(number)); !errors.Is(err, eventstore.ErrConflict) {
				t.Fatalf("append at %d behind %d: %v, want ErrConflict", number, last, err)
			}
		}
		s.bounds(t, 1, last)
	}
	for n := uint64(1); n <= 3; n++ {
		s.holds(t, n, message(n))
	}
	s.fill(t, 4, 4)
}

func testRace(t *testing.T, s *suite) {
	s.fill(t, 1, 2)
	for number := uint64(3); number <= 7; number++ {
		var won, winners atomic.Int32
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				err := s.Append(s.ctx, number, fmt.Appendf(nil, "%d", i))
				if err == nil {
					winners.Add(1)
					won.Store(int32(i))
				} else if !errors.Is(err, eventstore.ErrConflict) {
					t.Errorf("writer %d at %d: %v, want ErrConflict", i, number, err)
				}
			})
		}
		wg.Wait()
		if winners.Load() != 1 {
			t.Fatalf("%d writers got number %d", winners.Load(), number)
		}
		s.bounds(t, 1, number)
		s.holds(t, number, fmt.Appendf(nil, "%d", won.Load()))
	}
}

func testTurns(t *testing.T, s *suite) {
	const writers, each = 3, 20
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				_, last, err := s.Bounds(s.ctx)
				if err == nil {
					err = s.Append(s.ctx, last+1, message(last+1))
				}
				if err == nil {
					done++
				} else if !errors.Is(err, eventstore.ErrConflict) {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	s.bounds(t, 1, writers*each)
	for n := uint64(1); n <= writers*each; n++ {
		s.holds(t, n, message(n))
	}
}

func testFollow(t *testing.T, s *suite) {
	s.fill(t, 1, 10)
	type reader struct {
		from uint64
		got  chan eventstore.Record
	}
	var readers []reader
	ctx, cancel := context.WithCancel(s.ctx)
	var wg sync.WaitGroup
	for _, from := range []uint64{0, 1, 7, 11} {
		r := reader{max(from, 1), make(chan eventstore.Record, 100)}
		readers = append(readers, r)
		wg.Go(func() {
			err := s.Follow(ctx, from, func(rec eventstore.Record) error { r.got <- rec; return nil })
			if !errors.Is(err, context.Canceled) {
				t.Errorf("follow from %d: %v", from, err)
			}
		})
	}
	s.fill(t, 11, 20)
	for _, r := range readers {
		for n := r.from; n <= 20; n++ {
			select {
			case rec := <-r.got:
				if rec.Number != n || !bytes.Equal(rec.Data, message(n)) {
					t.Fatalf("follow from %d: got %d %q, want %d", r.from, rec.Number, rec.Data, n)
				}
			case <-s.ctx.Done():
				t.Fatalf("follow from %d: %d did not come", r.from, n)
			}
		}
	}
	cancel()
	wg.Wait()
}

func testFollowEnds(t *testing.T, s *suite) {
	s.fill(t, 1, 1)
	ctx, cancel := context.WithCancel(s.ctx)
	arrived, done := make(chan bool, 1), make(chan error)
	go func() {
		done <- s.Follow(ctx, 1, func(eventstore.Record) error { arrived <- true; return nil })
	}()
	select {
	case <-arrived:
	case err := <-done:
		t.Fatal(err)
	}
	begun := time.Now()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
	if d := time.Since(begun); d > patience/4 { // at once: not when a wait for more ends by itself
		t.Fatalf("it took %v", d)
	}
}

func testDeliverFails(t *testing.T, s *suite) {
	s.fill(t, 1, 3)
	enough := errors.New("enough")
	count := 0
	err := s.Follow(s.ctx, 1, func(rec eventstore.Record) error {
		if count++; rec.Number == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || count != 2 {
		t.Fatalf("got %v after %d, want the error of deliver after 2", err, count)
	}
}

func testEnded(t *testing.T, s *suite) {
	s.fill(t, 1, 1)
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if err := s.Append(ctx, 2, message(2)); err == nil || errors.Is(err, eventstore.ErrConflict) {
		t.Fatalf("append: %v, want another error", err)
	}
	if _, err := s.Get(ctx, 1); err == nil || errors.Is(err, eventstore.ErrNotFound) {
		t.Fatalf("get: %v, want another error", err)
	}
	if _, _, err := s.Bounds(ctx); err == nil {
		t.Fatal("bounds: want an error")
	}
	err := s.Follow(ctx, 1, func(eventstore.Record) error { t.Error("delivered"); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("follow: %v, want context.Canceled", err)
	}
}
