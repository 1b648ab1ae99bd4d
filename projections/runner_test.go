package projections_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/executions"
	"github.com/droverhq/drover/projections/jobs"
	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/kv/pebble"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

var fresh = &v1.Freshness{Fresh: true}

// patience is how long a test waits for what must happen; nothing is measured by it.
const patience = 60 * time.Second

func TestAFreshViewShowsEverythingThatStandsInTheLogs(t *testing.T) {
	h := newHistory(t, 1, 2)
	r := start(t, h, kv.NewMemory())
	for range 10 {
		h.grow(20)
		_, stamp, err := view(t, r, fresh)
		if err != nil || stamp.Behind {
			t.Fatalf("behind is %v, error %v", stamp.GetBehind(), err)
		}
		for _, p := range stamp.Positions {
			if last := h.writers[id.LogOf(p)].Head.Number; p.Number != last {
				t.Fatalf("as of %s; the log ends at %d", id.FormatPosition(p), last)
			}
		}
	}
	h.finish()
	snap, _, err := view(t, r, fresh)
	if err != nil {
		t.Fatal(err)
	}
	listed, err := jobs.List(snap, &v1.ListJobs{})
	if err != nil || len(listed.Jobs) != h.jobs {
		t.Fatalf("%d jobs of %d are listed, error %v", len(listed.GetJobs()), h.jobs, err)
	}
	for _, j := range listed.Jobs {
		if j.Status == v1.JobStatus_JOB_STATUS_IN_PROGRESS {
			t.Errorf("%s is still in progress", j.JobId)
		}
		d, err := jobs.Describe(snap, &v1.DescribeJob{JobId: j.JobId})
		if err != nil {
			t.Fatal(err)
		}
		sum := int64(0)
		for _, a := range d.Counts.Attempts {
			sum += a.Count
		}
		if sum != int64(d.Counts.Released) || d.Counts.Selected != d.Counts.Released || d.Counts.Waiting != 0 {
			t.Errorf("%s: the counts do not agree: %v", j.JobId, d.Counts)
		}
	}
	select {
	case <-r.Ready():
	case <-time.After(patience):
		t.Error("it never became ready")
	}
	if lags, err := r.Lags(t.Context()); err != nil || len(lags) != 5 || lags[0].Behind() != 0 {
		t.Errorf("lags are %v, error %v", lags, err)
	}
}

func TestARunnerGoesOnWhereItsStoreIs(t *testing.T) {
	h := newHistory(t, 2, 2)
	store := kv.NewMemory()
	for range 5 {
		h.grow(30)
		r, stop := startUntil(t, h, store)
		if _, stamp, err := view(t, r, fresh); err != nil || stamp.Behind {
			t.Fatalf("behind is %v, error %v", stamp.GetBehind(), err)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	verify(t, h, store, 1)
}

func TestAPositionInTheFutureIsWaitedForAndThenBehind(t *testing.T) {
	h := newHistory(t, 3, 1)
	r := start(t, h, kv.NewMemory())
	ahead := &v1.Freshness{AtLeast: []*v1.Position{id.JobLog.Position(2, 0)}}
	done := make(chan *v1.Stamp, 1)
	go func() {
		var stamp *v1.Stamp
		for end := time.Now().Add(patience); stamp == nil || stamp.GetBehind() && time.Now().Before(end); { // once, on most machines
			snap, now, err := r.View(t.Context(), ahead)
			if err != nil {
				t.Error(err)
				break
			}
			snap.Close()
			stamp = now
		}
		done <- stamp
	}()
	h.commit(id.JobLog, event(&v1.JobCompleted{Job: 7}))
	if stamp := <-done; stamp.GetBehind() || stamp.GetPositions()[0].GetNumber() < 2 {
		t.Errorf("the stamp is %v", stamp)
	}
	began := time.Now()
	if _, stamp, err := view(t, r, &v1.Freshness{AtLeast: []*v1.Position{id.JobLog.Position(3, 0)}}); err != nil || !stamp.Behind {
		t.Errorf("behind is %v, error %v", stamp.GetBehind(), err)
	}
	if d := time.Since(began); d < time.Second {
		t.Errorf("it waited for %s", d)
	}
	_, _, err := view(t, r, &v1.Freshness{AtLeast: []*v1.Position{id.ExecutionLog(9).Position(3, 0)}})
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "execution.9@3")
}

// Models that are behind what was asked for cannot say that something is not there.
func TestWhatIsNotFoundInAViewThatIsBehindIsNotKnown(t *testing.T) {
	h := newHistory(t, 3, 1)
	r := start(t, h, kv.NewMemory())
	for _, c := range []struct {
		asked *v1.Freshness
		code  v1.RefusalCode
		says  string
	}{
		{nil, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "nowhere"},
		{fresh, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "nowhere"},
		{&v1.Freshness{AtLeast: []*v1.Position{id.JobLog.Position(1_000_000, 0)}}, v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "behind"},
	} {
		_, err := r.Ask(t.Context(), c.asked, func(rows kv.Reader) error {
			_, err := jobs.Describe(rows, &v1.DescribeJob{JobId: "nowhere"})
			return err
		})
		refused(t, err, c.code, c.says)
	}
}

func TestDamageStopsTheRunnerAndEveryAnswer(t *testing.T) {
	h := newHistory(t, 4, 1)
	h.grow(40)
	h.backends[id.RolloutLog].Change(3, func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
	r, stop := startUntil(t, h, kv.NewMemory())
	deadline(t, func() bool { return r.Err() != nil })
	var damage *eventstore.DamageError
	if err := r.Err(); !errors.As(err, &damage) || damage.Log != id.RolloutLog {
		t.Fatalf("it stopped with %v", err)
	}
	_, _, err := view(t, r, nil)
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "rollout")
	if err := stop(); !errors.As(err, &damage) {
		t.Fatalf("Run returned %v", err)
	}
}

func TestAForeignMessageStopsTheRunner(t *testing.T) {
	h := newHistory(t, 5, 1)
	h.grow(10)
	r, _ := startUntil(t, h, kv.NewMemory())
	if _, _, err := view(t, r, fresh); err != nil {
		t.Fatal(err)
	}
	n := h.backends[id.JobLog].Publish([]byte("hello"))
	deadline(t, func() bool { return r.Err() != nil })
	var foreign *eventstore.ForeignError
	if err := r.Err(); !errors.As(err, &foreign) || foreign.Number != n {
		t.Fatalf("it stopped with %v", err)
	}
}

func TestAnEventThatIsNotKnownStopsTheRunnerAtItsPlace(t *testing.T) {
	h := newHistory(t, 6, 1)
	h.grow(10)
	h.commit(id.JobLog, event(&v1.JobCompleted{Job: 7}), &v1.Event{})
	n := h.writers[id.JobLog].Head.Number
	r, _ := startUntil(t, h, kv.NewMemory())
	deadline(t, func() bool { return r.Err() != nil })
	var unreadable *projections.UnreadableError
	if err := r.Err(); !errors.As(err, &unreadable) || unreadable.Position.Number != n || unreadable.Position.Entry != 1 {
		t.Fatalf("it stopped with %v", err)
	}
}

func TestALogThatWasCutIsNamed(t *testing.T) {
	h := newHistory(t, 7, 1)
	h.grow(60)
	cut := h.cited[id.RolloutLog][id.JobLog] - 1
	h.backends[id.JobLog].Cut(cut)
	r, _ := startUntil(t, h, kv.NewMemory())
	deadline(t, func() bool { return r.Err() != nil })
	var damage *eventstore.DamageError
	if err := r.Err(); !errors.As(err, &damage) || damage.Log != id.JobLog || damage.First != cut+1 {
		t.Fatalf("it stopped with %v", err)
	}
}

func TestACheckpointThatTheLogNoLongerHoldsStopsTheRunner(t *testing.T) {
	h := newHistory(t, 8, 1)
	h.grow(30)
	store := kv.NewMemory()
	r, stop := startUntil(t, h, store)
	if _, _, err := view(t, r, fresh); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	other := newHistory(t, 9, 1)
	other.grow(60)
	r, _ = startUntil(t, other, store)
	deadline(t, func() bool { return r.Err() != nil })
	var damage *eventstore.DamageError
	if err := r.Err(); !errors.As(err, &damage) {
		t.Fatalf("it stopped with %v", err)
	}
}

func TestAStoreOfAnotherShapeIsRefused(t *testing.T) {
	h := newHistory(t, 10, 2)
	h.grow(30)
	store := kv.NewMemory()
	r, stop := startUntil(t, h, store)
	if _, _, err := view(t, r, fresh); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	fewer := newHistory(t, 10, 1)
	strange := kv.NewMemory()
	put(t, strange, "\x00mark\x00job\x00", "short")
	for name, c := range map[string]projections.Config{
		"of more homes":         {Logs: fewer.logs, Homes: 1, Store: store},
		"with a part of a mark": {Logs: h.logs, Homes: 2, Store: strange},
	} {
		var format *projections.FormatError
		if _, err := projections.New(c); !errors.As(err, &format) {
			t.Errorf("a store %s: %v", name, err)
		}
	}
	if _, err := projections.New(projections.Config{Logs: h.logs[1:], Homes: 2, Store: kv.NewMemory()}); err == nil {
		t.Error("a log may be missing")
	}
}

func TestAStoreThatFailsIsUnavailable(t *testing.T) {
	h := newHistory(t, 11, 1)
	h.grow(30)
	store := &failing{Store: kv.NewMemory()}
	r := start(t, h, store)
	if _, _, err := view(t, r, fresh); err != nil {
		t.Fatal(err)
	}
	_, err := r.Ask(t.Context(), nil, func(kv.Reader) error { panic(&kv.Failure{Op: "get", Err: errors.New("bad block")}) })
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "bad block")
	store.broken = true
	h.commit(id.JobLog, event(&v1.JobCompleted{Job: 7}))
	deadline(t, func() bool { return r.Err() != nil })
	_, _, err = view(t, r, nil)
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "disk full")
}

func TestAskAnswersFromAViewAndSaysHowNewItIs(t *testing.T) {
	h := newHistory(t, 12, 2)
	h.grow(80)
	r := start(t, h, kv.NewMemory())
	if _, stamp, err := view(t, r, fresh); err != nil || stamp.Behind { // it has read all
		t.Fatalf("behind is %v, error %v", stamp.GetBehind(), err)
	}
	var reply *v1.ListExecutionsReply
	stamp, err := r.Ask(t.Context(), fresh, func(rows kv.Reader) (err error) {
		reply, err = executions.ListForJob(rows, &v1.ListExecutionsForJob{JobId: "job-1"})
		return err
	})
	if err != nil || len(reply.Executions) == 0 || len(stamp.Positions) != 5 {
		t.Fatalf("%d executions, stamp %v, error %v", len(reply.GetExecutions()), stamp, err)
	}
	_, err = r.Ask(t.Context(), nil, func(rows kv.Reader) error {
		_, err := jobs.Describe(rows, &v1.DescribeJob{JobId: "nobody"})
		return err
	})
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "nobody")
}

func TestTheModelsLiveOnPebbleAsInMemory(t *testing.T) {
	h := newHistory(t, 13, 2)
	h.grow(150)
	store, err := pebble.Open(t.TempDir(), pebble.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	r, stop := startUntil(t, h, store)
	if _, _, err := view(t, r, fresh); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	verify(t, h, store, 3)
}

// Who asks while the system stops is answered or refused; the store is closed behind him, not under him.
func TestWhatIsAskedWhileTheRunnerStopsNeverMeetsAClosedStore(t *testing.T) {
	h := newHistory(t, 14, 1)
	h.grow(30)
	store, err := pebble.Open(t.TempDir(), pebble.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	r, stop := startUntil(t, h, store)
	ahead := &v1.Freshness{AtLeast: []*v1.Position{id.JobLog.Position(1_000_000, 0)}}
	asking, answered := make(chan struct{}), make(chan error, 1)
	go func() {
		close(asking)
		_, err := r.Ask(context.Background(), ahead, func(rows kv.Reader) error {
			_, err := jobs.List(rows, &v1.ListJobs{})
			return err
		})
		answered <- err
	}()
	<-asking
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	refused(t, <-answered, v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "have stopped")
	_, _, err = r.View(t.Context(), nil)
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "have stopped")
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// start runs a runner until the test ends.
func start(t testing.TB, h *history, store kv.Store) *projections.Runner {
	t.Helper()
	r, _ := startUntil(t, h, store)
	return r
}

// startUntil runs a runner until it is stopped, or until the test ends.
func startUntil(t testing.TB, h *history, store kv.Store) (r *projections.Runner, stop func() error) {
	t.Helper()
	r, err := projections.New(projections.Config{Logs: h.logs, Store: store, Homes: h.homes, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err = r.Run(ctx)
	}()
	stop = func() error {
		cancel()
		<-ended
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return r, stop
}

// view closes the snapshot when the test ends. A fresh one that is behind, as on a busy machine, is asked for again.
func view(t testing.TB, r *projections.Runner, f *v1.Freshness) (kv.Snapshot, *v1.Stamp, error) {
	for end := time.Now().Add(patience); ; {
		snap, stamp, err := r.View(context.Background(), f)
		if err == nil && f.GetFresh() && stamp.GetBehind() && time.Now().Before(end) {
			_ = snap.Close()
			continue
		}
		if err == nil {
			t.Cleanup(func() { _ = snap.Close() })
		}
		return snap, stamp, err
	}
}

func verify(t testing.TB, h *history, live kv.Store, seed uint64) projections.Verified {
	t.Helper()
	v, err := projections.Verify(context.Background(), h.logs, live, kv.NewMemory(), seed, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func refused(t testing.TB, err error, code v1.RefusalCode, says string) {
	t.Helper()
	var refusal *v1.Refusal
	if !errors.As(err, &refusal) || refusal.Code != code || !strings.Contains(refusal.Error(), says) {
		t.Errorf("want %s with %q, got %v", code, says, err)
	}
}

func deadline(t testing.TB, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("it did not come about within %v", patience)
		}
		time.Sleep(time.Millisecond)
	}
}

func put(t testing.TB, s kv.Store, key, value string) {
	t.Helper()
	b := s.NewBatch()
	b.Set([]byte(key), []byte(value))
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
}

// failing is a store whose disk is full once it is broken.
type failing struct {
	kv.Store
	broken bool
}

func (f *failing) NewBatch() kv.Batch { return fullDisk{f.Store.NewBatch(), f} }

type fullDisk struct {
	kv.Batch
	store *failing
}

func (b fullDisk) Commit() error {
	if b.store.broken {
		return &kv.Failure{Op: "commit", Err: errors.New("disk full")}
	}
	return b.Batch.Commit()
}
