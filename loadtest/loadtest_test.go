package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/droverhq/drover/services/bus"
)

// patience is how long a test waits for what must happen; nothing is measured by it.
const patience = 90 * time.Second

// hub is a real nats-server that flushes always, with the user service, and a data folder that knows its password.
func hub(t *testing.T) *system {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, ServerName: "hub", JetStream: true, StoreDir: t.TempDir(),
		SyncAlways: true, NoSigs: true, NoLog: true, Users: []*server.User{{Username: "service", Password: "secret"}}})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server is not ready")
	}
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, "auth"), []byte(`{"service":"secret"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return &system{NATS: s.ClientURL(), data: data}
}

func TestLimitCountsWhatWasStoredAndRemovesItsStream(t *testing.T) {
	s := hub(t)
	f, err := limit(t.Context(), s, 150, 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if f.Messages < limitBatch || f.PerSecond <= 0 || f.LongestMs <= 0 {
		t.Errorf("%+v", f)
	}
	nc, err := s.service("test")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Stream(t.Context(), limitStream); err != jetstream.ErrStreamNotFound {
		t.Errorf("the scratch stream is still there: %v", err)
	}
}

func TestABatchIsStoredAsAWhole(t *testing.T) {
	s := hub(t)
	nc, err := s.service("test")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	answers, err := nc.SubscribeSync("answers")
	if err != nil {
		t.Fatal(err)
	}
	config := jetstream.StreamConfig{Name: "S", Subjects: []string{"bench.s"}}
	if _, err := js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	b := newBatch("bench.s", 10)
	if err := b.publish(t.Context(), nc, answers, "answers"); err == nil {
		t.Error("a batch to a stream that takes none was stored")
	}
	config.AllowAtomicPublish = true
	stream, err := js.UpdateStream(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	answers, _ = nc.SubscribeSync("others")
	for range 2 {
		if err := b.publish(t.Context(), nc, answers, "others"); err != nil {
			t.Fatal(err)
		}
	}
	info, err := stream.Info(t.Context())
	if err != nil || info.State.Msgs != 2*limitBatch {
		t.Errorf("%d messages are stored, want %d: %v", info.State.Msgs, 2*limitBatch, err)
	}
}

// walker answers as the service would, and holds every thing to its walk.
type walker struct {
	mu      sync.Mutex
	version map[string]int // by thing and job
	at      map[string]int // job of a thing
	faults  []string
	twice   bool // every answer comes twice
	refuse  int  // every so many requests are told to come later
	n       int
}

func (w *walker) serve(m *nats.Msg) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.n++; w.refuse > 0 && w.n%w.refuse == 0 {
		_ = m.Respond([]byte(`{"code":"RequestThrottled","message":"later"}`))
		return
	}
	tokens := strings.Split(m.Subject, ".")
	thing := tokens[2]
	job := fmt.Sprint("job-", w.at[thing])
	key := thing + job
	answer := `{"clientToken":"x"}`
	if tokens[4] == "start-next" {
		if w.version[key] != 0 {
			w.faults = append(w.faults, key+" was started twice")
		}
		w.version[key] = 2
		answer = `{"execution":{"jobId":"` + job + `"}}`
	} else {
		if want := fmt.Sprintf(`"expectedVersion":%d`, w.version[key]); tokens[4] != job || !bytes.Contains(m.Data, []byte(want)) {
			w.faults = append(w.faults, fmt.Sprintf("%s %s, want %s", m.Subject, m.Data, want))
		}
		w.version[key]++
		if bytes.Contains(m.Data, []byte("SUCCEEDED")) {
			w.at[thing]++
		}
	}
	_ = m.Respond([]byte(answer))
	if w.twice {
		_ = m.Respond([]byte(answer))
	}
}

func startWalker(t *testing.T, s *system) *walker {
	t.Helper()
	w := &walker{version: map[string]int{}, at: map[string]int{}}
	nc, err := s.service("walker")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	for _, subject := range []string{"$aws.things.*.jobs.start-next", "$aws.things.*.jobs.*.update"} {
		if _, err := nc.Subscribe(subject, w.serve); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestLoadWalksEveryThingThroughEveryJob(t *testing.T) {
	for _, random := range []bool{false, true} {
		t.Run(fmt.Sprint("random=", random), func(t *testing.T) {
			s := hub(t)
			w := startWalker(t, s)
			w.twice = random // as after a repeated report
			l := &load{things: names("t-", 101), jobs: []string{"job-0", "job-1"}, progress: 2, connections: 3, outstanding: 20, random: random, seed: 5}
			r, err := l.run(testContext(t), func() (*nats.Conn, error) { return s.service("load") })
			if err != nil {
				t.Fatal(err)
			}
			if want := 101 * 2 * 4; r.Reports != want || r.Rejected != 0 || r.latency.TotalCount() != int64(want) {
				t.Errorf("%d reports, %d rejected (%s), want %d and 0", r.Reports, r.Rejected, r.firstRejected, want)
			}
			if len(w.faults) > 0 {
				t.Errorf("%d faults; the first: %s", len(w.faults), w.faults[0])
			}
			if r.Seconds <= 0 || r.Gap <= 0 {
				t.Errorf("%.3f s, longest gap %s", r.Seconds, r.Gap)
			}
		})
	}
}

func TestAThrottledReportIsRepeated(t *testing.T) {
	s := hub(t)
	w := startWalker(t, s)
	w.refuse = 5
	l := &load{things: names("t-", 50), jobs: []string{"job-0"}, connections: 2, outstanding: 10}
	r, err := l.run(testContext(t), func() (*nats.Conn, error) { return s.service("load") })
	if err != nil || r.Reports != 100 || r.Rejected != 0 || r.Throttled == 0 || r.Repeated < r.Throttled {
		t.Errorf("%d reports, %d rejected, %d throttled, %d repeated; want 100, 0, some, as many: %v", r.Reports, r.Rejected, r.Throttled, r.Repeated, err)
	}
	if len(w.faults) > 0 {
		t.Errorf("%d faults; the first: %s", len(w.faults), w.faults[0])
	}
}

func TestLoadStopsAtItsLimits(t *testing.T) {
	s := hub(t)
	startWalker(t, s)
	dial := func() (*nats.Conn, error) { return s.service("load") }
	l := &load{things: names("t-", 100), jobs: []string{"job-0"}, connections: 2, outstanding: 10, reports: 50}
	if r, err := l.run(testContext(t), dial); err != nil || r.Reports != 50 {
		t.Errorf("%d reports, want 50: %v", r.Reports, err)
	}
	l = &load{things: names("u-", 1_000_000), jobs: []string{"job-0"}, connections: 2, outstanding: 10, duration: 200 * time.Millisecond}
	if r, err := l.run(testContext(t), dial); err != nil || r.Reports == 0 || r.Reports == 2_000_000 {
		t.Errorf("%d reports in %.1f s: %v", r.Reports, r.Seconds, err)
	}
}

func TestARejectedReportIsCountedAndShown(t *testing.T) {
	s := hub(t)
	nc, err := s.service("refuser")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	var n atomic.Int64
	if _, err := nc.Subscribe("$aws.things.*.jobs.start-next", func(m *nats.Msg) {
		n.Add(1)
		_ = m.Respond([]byte(`{"code":"InternalError","message":"no"}`))
	}); err != nil {
		t.Fatal(err)
	}
	_ = nc.Flush()
	l := &load{things: names("t-", 7), jobs: []string{"job-0"}, connections: 1, outstanding: 2}
	r, err := l.run(testContext(t), func() (*nats.Conn, error) { return s.service("load") })
	if err != nil || r.Rejected != 7 || n.Load() != 7 || !strings.Contains(r.firstRejected, "InternalError") {
		t.Errorf("%d rejected (%s), want 7: %v", r.Rejected, r.firstRejected, err)
	}
}

func TestTheLargestValueOfAMetricIsFound(t *testing.T) {
	monitor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "# HELP x\nx_other 9\nx{log=\"a b\"} 0.25\nx{log=\"c\"} 0.5\nx{log=\"d\"} 1e-3\n")
	}))
	defer monitor.Close()
	s := &system{Monitor: monitor.URL}
	if v, ok := s.metric("x"); !ok || v != 0.5 {
		t.Errorf("got %v %v, want 0.5", v, ok)
	}
	if _, ok := s.metric("y"); ok {
		t.Error("found a metric that is not there")
	}
}

func TestTheServerSaysWhatItWasBuiltFrom(t *testing.T) {
	s := hub(t)
	nc, err := s.service("test")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if got := build(nc); got != "unknown" {
		t.Errorf("nobody serves, got %q", got)
	}
	server, err := bus.NewServer(nc, "job", "v1-3-gabc")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	if got := build(nc); got != "v1-3-gabc" {
		t.Errorf("got %q", got)
	}
}

func TestThisProcessHasMemoryAndTheMachineHasCPU(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("no /proc here")
	}
	if m, err := peakMemory(os.Getpid()); err != nil || m < 1<<20 {
		t.Errorf("peak memory %d: %v", m, err)
	}
	for start := time.Now(); cpuOf(os.Getpid()) == 0; {
		if time.Since(start) > patience {
			t.Fatal("this process has used no CPU")
		}
	}
	if cpu := readCPU(); cpu.all == 0 || cpu.steal > cpu.all {
		t.Errorf("%+v", cpu)
	}
}

func TestMarksOfTheMillionAreNamed(t *testing.T) {
	if err := (millionFigures{RegisterSeconds: 60, QueueSeconds: 60, PeakBytes: millionBytesMax, DeviceP99Ms: 250}).exceeded(); err != nil {
		t.Error(err)
	}
	err := millionFigures{RegisterSeconds: 60, QueueSeconds: 61, PeakBytes: 2 << 30, DeviceP99Ms: 251}.exceeded()
	if err == nil || !strings.Contains(err.Error(), "121 s") || !strings.Contains(err.Error(), "2048 MB") || !strings.Contains(err.Error(), "251 ms") {
		t.Errorf("got %v", err)
	}
}

func TestMedian(t *testing.T) {
	same := func(v float64) float64 { return v }
	if m := median([]float64{3, 1, 2}, same); m != 2 {
		t.Error(m)
	}
	if m := median([]float64{4, 1}, same); m != 2.5 {
		t.Error(m)
	}
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
