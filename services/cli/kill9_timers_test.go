package cli_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/services/node"
)

const (
	timedThings  = 40
	windowThings = 40
	// clockWithin is how long after its start a kill is waited for: a window that closes later closes without one.
	clockWithin = 80 * time.Second
)

// clock is what happens in TestKill9 by the clock alone: timers of a minute, which is the shortest, fire once and their
// executions are retried; a continuous job waits for a window at a minute's boundary and is released in it.
type clock struct {
	d      *drover
	began  time.Time
	timers time.Time // when the first fires; the others follow within a few seconds
	opens  time.Time // the window; it closes a minute later
	kills  int
}

// startClock creates both jobs and lets devices start the executions of one, which then say nothing any more.
func (d *drover) startClock() *clock {
	d.t.Helper()
	c := &clock{d: d, began: time.Now()}
	d.run("group", "create", "mute")
	d.run("thing", "create", "--prefix", "mute-", "--count", fmt.Sprint(timedThings))
	d.run("group", "add", "mute", "--from", d.names("mute-", timedThings))
	d.run("job", "create", "timed", "--document", "{}", "--target", "group/mute", "--timeout", "1m", "--retry", "TIMED_OUT=1")
	d.run("group", "create", "nightly")
	d.run("thing", "create", "--prefix", "night-", "--count", fmt.Sprint(windowThings))
	d.run("group", "add", "nightly", "--from", d.names("night-", windowThings))
	c.opens = time.Now().UTC().Add(10 * time.Second).Truncate(time.Minute).Add(time.Minute)
	d.run("job", "create", "windowed", "--document", "{}", "--target", "group/nightly", "--continuous",
		"--window", fmt.Sprintf("cron(%d %d * * ? *)/1m", c.opens.Minute(), c.opens.Hour()))
	if time.Now().After(c.opens) {
		d.t.Fatal("it took 10 s to create a job: its window opens tomorrow")
	}
	var j job
	d.eventually(patience, "the timed job is queued", func() bool {
		d.read(&j, "job", "describe", "timed")
		return j.Counts.Queued == timedThings
	})
	e, err := node.ReadEndpoints(d.data)
	if err != nil {
		d.t.Fatal(err)
	}
	devices := newRadio(d.t, e.Devices)
	c.timers = time.Now().Add(time.Minute)
	for i := range timedThings {
		thing := fmt.Sprintf("mute-%04d", i)
		if got := devices.ask(thing, "start-next", "{}"); !strings.Contains(got, "IN_PROGRESS") {
			d.t.Fatalf("%s starts %s", thing, got)
		}
		time.Sleep(40 * time.Millisecond) // so that the timers fire one after another
	}
	return c
}

// due are the moments that are still to come, in order, and soon enough: a kill is spread over the timers twice.
func (c *clock) due() (moments []time.Time) {
	for _, at := range []time.Time{c.timers, c.timers.Add(2 * time.Second), c.opens, c.opens.Add(time.Minute)} {
		if time.Until(at) > 0 && at.Sub(c.began) < clockWithin {
			moments = append(moments, at)
		}
	}
	slices.SortFunc(moments, time.Time.Compare)
	return moments
}

// killAround kills the system just before each moment, so that it is down at that moment or has just come up.
func (c *clock) killAround(moments []time.Time) {
	for _, at := range moments {
		if wait := time.Until(at) - 100*time.Millisecond; wait > 0 {
			time.Sleep(wait) // the moment is the point
		}
		c.d.up.kill()
		c.kills++
		c.d.begin()
		c.d.awaitReady()
	}
}

// finish waits for both: every timer has fired, everything was released in the window. Then it ends the jobs.
func (c *clock) finish() {
	c.d.t.Helper()
	var timed, windowed job
	c.d.eventually(2*patience, "the timers have fired and the window has opened", func() bool {
		c.d.read(&timed, "job", "describe", "timed")
		c.d.read(&windowed, "job", "describe", "windowed")
		return timed.Counts.TimedOut == timedThings && timed.Counts.Queued == timedThings && windowed.Counts.Released == windowThings
	})
	c.killAround(c.due())
	for _, name := range []string{"timed", "windowed"} {
		c.d.run("job", "cancel", name)
	}
	c.d.eventually(patience, "both are canceled", func() bool {
		c.d.read(&timed, "job", "describe", "timed")
		c.d.read(&windowed, "job", "describe", "windowed")
		return !timed.IsConcurrent && !windowed.IsConcurrent
	})
}

// check recounts both jobs: each timer fired once and was retried once, and nothing was released outside of the window.
func (c *clock) check() {
	t := c.d.t
	t.Helper()
	r := c.d.audit(0, "timed", "--expect", fmt.Sprintf("TIMED_OUT=%d", timedThings), "--expect", fmt.Sprintf("CANCELED=%d", timedThings))
	if r.Executions != 2*timedThings || r.Ended != 2*timedThings || r.EndedTwice != 0 || r.VersionGaps != 0 || len(r.Violations) != 0 {
		t.Errorf("the timers: %+v", r)
	}
	r = c.d.audit(0, "windowed", "--expect", fmt.Sprintf("CANCELED=%d", windowThings))
	if r.Released != windowThings || len(r.Violations) != 0 || r.FirstAt.Before(c.opens.Truncate(time.Second)) {
		t.Errorf("the window that opened at %v: %+v", c.opens, r)
	}
	t.Logf("%d kills around the timers' and the window's moments", c.kills)
}
