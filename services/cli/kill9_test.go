package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What TestKill9 does to the system.
const (
	killDevices   = 2000
	killPerMinute = 6000
	kills         = 20
	killsInside   = 15 // at least so many between the first release and the last report
	// killReports is the most reports between a start and the next kill: all of them together are a part of the rollout's
	// reports, so that no machine is so slow, or so fast, that the rollout ends before the kills do.
	killReports  = 150
	cancelThings = 100_000
)

// TestKill9 shows that nothing which was acknowledged is lost, and nothing happens twice, however often the system dies.
//
// A real drover up is killed with -9 at 20 random moments of a rollout to 2,000 devices, some of them while it is starting, while
// every execution has a timer and each twentieth device fails once and again; then while a job is aborted, around the moments at which timers fire and a window
// opens and closes (kill9_timers_test.go), and then during a forced cancel of 100,000 executions; each time it is started again on the same folder. The devices
// run in a process of their own, which lives through it all and notes what each device does before it does it. Afterwards
// the log is recounted and held against every rule of services/audit/invariants, against the devices' journals, against
// the counters that were answered last, and against a rebuild of the read models.
func TestKill9(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	t.Parallel() // it waits most of the time, and for what it sees
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	d := newDrover(t)
	d.begin()
	d.awaitReady()

	d.run("group", "create", "all")
	d.run("thing", "create", "--prefix", "dev-", "--count", fmt.Sprint(killDevices))
	d.run("group", "add", "all", "--from", d.names("dev-", killDevices))
	clock := d.startClock()
	journal := filepath.Join(t.TempDir(), "devices.jsonl")
	devices := d.start("simulate", "--data", d.data, "--devices", fmt.Sprint(killDevices), "--prefix", "dev-", "--mixed", "--fail-rate", "0.05",
		"--work-time", "300ms", "--seed", "7", "--journal", journal, "--until-jobs", "2", "--output", "json")
	d.run("job", "create", "demo", "--document", `{"operation":"install"}`, "--target", "group/all", "--per-minute", fmt.Sprint(killPerMinute),
		"--retry", "FAILED=1", "--timeout", "30m")

	var killed []time.Time
	done := &reports{t: t, path: journal}
	for i := range kills {
		if i%5 != 4 {
			d.awaitReady()
			want := done.count() + 1 + rng.IntN(killReports)
			d.eventually(patience, "devices report", func() bool { return done.count() >= want })
			time.Sleep(time.Duration(rng.IntN(50)) * time.Millisecond) // the moment is the point
		} else {
			time.Sleep(time.Duration(rng.IntN(400)) * time.Millisecond) // while it starts
		}
		d.up.kill()
		killed = append(killed, time.Now())
		d.begin()
	}
	d.awaitReady()
	var demo job
	d.eventually(2*patience, "the rollout is over", func() bool {
		d.read(&demo, "job", "describe", "demo")
		return demo.Status == "COMPLETED"
	})
	d.killDuringAbort()
	clock.killAround(clock.due())
	d.run("job", "create", "last", "--document", "{}", "--target", "group/all") // so that every device has ended two
	select {
	case <-devices.exited:
	case <-time.After(2 * patience):
		t.Fatalf("the devices have not ended\n%s\n%s", devices.output, d.up.output)
	}
	if devices.err != nil {
		t.Fatalf("simulate: %v\n%s", devices.err, devices.output)
	}
	big, canceledAt := d.killDuringCancel(rng)
	clock.finish()
	d.stop()
	clock.check()

	r := d.audit(0, "demo", "--journal", journal, "--expect", "SUCCEEDED=1900", "--expect", "FAILED=200", "--expect", "transitions=6300")
	if r.Executions != killDevices+100 || r.Ended != killDevices+100 || r.EndedTwice != 0 || r.VersionGaps != 0 || len(r.Violations) != 0 {
		t.Errorf("the rollout: %+v", r)
	}
	inside := 0
	for _, at := range killed {
		if at.After(r.FirstAt) && at.Before(r.LastAt) {
			inside++
		}
	}
	t.Logf("%d of %d kills between the first release and the last report, %v apart; %d reports accepted, %d of them sent more than once",
		inside, kills, r.LastAt.Sub(r.FirstAt), r.Journal.ReportsAccepted, r.Journal.ReportsRepeated)
	if inside < killsInside {
		t.Errorf("%d kills between the first release and the last report; %d are needed, or this test shows nothing", inside, killsInside)
	}
	sameCounters(t, demo, r)

	if r = d.audit(0, "doomed"); r.Released >= killDevices || len(r.Violations) != 0 {
		t.Errorf("the abort: %+v", r)
	}

	r = d.audit(0, "big")
	if r.Executions != cancelThings || r.Counts["CANCELED"] != cancelThings || r.Ended != cancelThings || r.VersionGaps != 0 || len(r.Violations) != 0 {
		t.Errorf("the cancel: %+v", r)
	}
	if !canceledAt.Before(r.LastAt) {
		t.Errorf("the cancel had been carried out, at %v, when the system was killed at %v: this test shows nothing", r.LastAt, canceledAt)
	}
	sameCounters(t, big, r)
	if out := d.run("projections", "rebuild", "--verify"); !strings.Contains(out, "rows are the same") {
		t.Errorf("projections rebuild --verify: %s", out)
	}
}

// killDuringAbort runs a job that its criterion ends, kills the system on the way there, and waits until it is canceled.
func (d *drover) killDuringAbort() {
	d.t.Helper()
	d.run("job", "create", "doomed", "--document", "{}", "--target", "group/all", "--abort", "FAILED:1%:200",
		"--per-minute", "1500") // so slowly that most have not been released by then, wherever this runs
	var j job
	d.eventually(patience, "executions of the doomed job end", func() bool {
		d.read(&j, "job", "describe", "doomed")
		return j.Counts.Succeeded+j.Counts.Failed > 50
	})
	d.up.kill()
	d.begin()
	d.awaitReady()
	d.eventually(2*patience, "the doomed job is aborted", func() bool {
		d.read(&j, "job", "describe", "doomed")
		return j.Status == "CANCELED"
	})
}

// killDuringCancel queues a job for 100,000 things and cancels it with force, and kills the system at once and twice
// again before that can have been carried out. It returns the counters in the end and the time of the first kill.
func (d *drover) killDuringCancel(rng *rand.Rand) (job, time.Time) {
	d.t.Helper()
	d.run("group", "create", "many")
	d.run("thing", "create", "--prefix", "big-", "--count", fmt.Sprint(cancelThings))
	d.run("group", "add", "many", "--from", d.names("big-", cancelThings))
	d.run("job", "create", "big", "--document", "{}", "--target", "group/many")
	var j job
	d.eventually(2*patience, "all executions are queued", func() bool {
		d.read(&j, "job", "describe", "big")
		return j.Counts.Queued == cancelThings
	})
	d.run("job", "cancel", "big", "--force")
	var first time.Time
	for i := range 3 {
		time.Sleep(time.Duration(rng.IntN(50+50*i)) * time.Millisecond)
		d.up.kill()
		if i == 0 {
			first = time.Now()
		}
		d.begin()
		if i > 0 {
			continue // while it starts
		}
		d.awaitReady()
	}
	d.awaitReady()
	d.eventually(2*patience, "the cancel is carried out", func() bool {
		d.read(&j, "job", "describe", "big")
		return !j.IsConcurrent && j.Counts.Canceled == cancelThings
	})
	return j, first
}

// reports counts the reports that devices know to be accepted, as their journal grows.
type reports struct {
	t    *testing.T
	path string
	read int64 // bytes, up to the end of a line
	n    int
}

func (r *reports) count() int {
	r.t.Helper()
	file, err := os.Open(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	if err != nil {
		r.t.Fatal(err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.NewSectionReader(file, r.read, 1<<40))
	if err != nil {
		r.t.Fatal(err)
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	r.read += int64(len(text))
	r.n += bytes.Count(text, []byte(`"fact":"reported"`))
	return r.n
}

// names writes a file with the names of things that were registered by prefix and count.
func (d *drover) names(prefix string, n int) string {
	d.t.Helper()
	var lines strings.Builder
	width := max(4, len(fmt.Sprint(n-1)))
	for i := range n {
		fmt.Fprintf(&lines, "%s%0*d\n", prefix, width, i)
	}
	return writeTemp(d.t, lines.String())
}

// sameCounters holds the counters that the system has answered against the recount.
func sameCounters(t *testing.T, j job, r recount) {
	t.Helper()
	told := map[string]int64{
		"QUEUED": j.Counts.Queued, "IN_PROGRESS": j.Counts.InProgress, "SUCCEEDED": j.Counts.Succeeded, "FAILED": j.Counts.Failed, "CANCELED": j.Counts.Canceled,
	}
	for status, n := range told {
		if r.Counts[status] != n {
			t.Errorf("%s: the system said %d, the log says %d", status, n, r.Counts[status])
		}
	}
	if j.Counts.Selected != r.Selected || j.Counts.Released != r.Released || j.Status != r.Status {
		t.Errorf("the system said %+v, the log says %+v", j, r)
	}
}
