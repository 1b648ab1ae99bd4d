package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// load is a closed loop: so many devices wait for an answer at a time, and each sends its next report as soon as it
// has one. A device has at most one report under way.
//
// All things of a job walk the same way: start-next, progress reports, SUCCEEDED; then the next job. Local order walks
// one thing to its end before the next; random order takes a random thing for every report.
type load struct {
	things      []string
	jobs        []string
	progress    int
	connections int
	outstanding int // in all
	random      bool
	seed        uint64
	reports     int           // 0: until all jobs have ended
	duration    time.Duration // 0: no limit

	stop     atomic.Bool
	sent     atomic.Int64 // reports handed out
	lastNano atomic.Int64 // of the last answer, since start
	gapNano  atomic.Int64
	start    time.Time
}

// loadResult is what a load measured.
type loadResult struct {
	Reports, Rejected, Repeated int
	Throttled                   int // answers that said: later
	Notices                     int64
	Seconds                     float64
	Gap                         time.Duration // the longest time without any answer
	latency                     *hdrhistogram.Histogram
	firstRejected               string
}

// repeatAfter is when an unanswered report is sent again, throttledAfter when one that was told to come later is.
const (
	repeatAfter    = 5 * time.Second
	throttledAfter = 100 * time.Millisecond
	// silenceMax is how long nobody may be answered before the load gives up.
	silenceMax = 30 * time.Second
)

// walk is a thing on its way: which job, and how many of its steps are done.
type walk struct {
	thing, job, step int
}

// lane is one connection with its share of the things.
type lane struct {
	load  *load
	nc    *nats.Conn
	inbox string // what its answers' subjects have behind the thing

	mu       sync.Mutex // guards everything below, held for one answer
	idle     []walk
	slots    []slot
	inFlight int
	rng      *rand.Rand
	result   loadResult
	payload  []byte
	subject  []byte
	done     chan struct{} // closed when nothing is in flight and nothing will be
}

// slot is one report under way. Its number and turn are in the subject of the answer, so that a late answer to a
// repeated report is not taken for the next one's.
type slot struct {
	walk  walk
	turn  uint64
	busy  bool
	first time.Time // of its sendings
	again time.Time // when to repeat it
}

// run drives the load over connections that dial makes.
func (l *load) run(ctx context.Context, dial func() (*nats.Conn, error)) (loadResult, error) {
	total := loadResult{latency: hdrhistogram.New(1, 10*60*1e6, 3)}
	lanes := make([]*lane, l.connections)
	for i := range lanes {
		nc, err := dial()
		if err != nil {
			return total, err
		}
		defer nc.Close()
		if lanes[i], err = l.newLane(i, nc); err != nil {
			return total, err
		}
	}
	watcher, err := dial()
	if err != nil {
		return total, err
	}
	defer watcher.Close()
	var notices atomic.Int64
	if _, err := watcher.Subscribe("$aws.things.*.jobs.notify-next", func(*nats.Msg) { notices.Add(1) }); err != nil {
		return total, err
	}
	if err := watcher.Flush(); err != nil {
		return total, err
	}

	l.start = time.Now()
	for _, lane := range lanes {
		lane.begin()
	}
	err = l.wait(ctx, lanes)
	// The time counts to the last answer, not to when it was noticed that there are no more.
	total.Seconds = time.Duration(l.lastNano.Load()).Seconds()
	total.Gap = time.Duration(l.gapNano.Load())
	total.Notices = notices.Load()
	for _, lane := range lanes {
		r := &lane.result
		total.Reports += r.Reports
		total.Rejected += r.Rejected
		total.Repeated += r.Repeated
		total.Throttled += r.Throttled
		total.latency.Merge(r.latency)
		if total.firstRejected == "" {
			total.firstRejected = r.firstRejected
		}
	}
	return total, err
}

// wait until every lane has done its share, repeating what stays unanswered.
func (l *load) wait(ctx context.Context, lanes []*lane) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for _, lane := range lanes {
		for waiting := true; waiting; {
			select {
			case <-lane.done:
				waiting = false
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
				if silence := time.Since(l.start) - time.Duration(l.lastNano.Load()); silence > silenceMax {
					return fmt.Errorf("no report was answered for %s", silence.Round(time.Second))
				}
				if l.duration > 0 && time.Since(l.start) >= l.duration {
					l.stop.Store(true)
				}
				for _, each := range lanes {
					each.repeat()
				}
			}
		}
	}
	return nil
}

func (l *load) newLane(i int, nc *nats.Conn) (*lane, error) {
	c := &lane{load: l, nc: nc, inbox: ".jobs.$inbox." + nuid.Next() + ".", done: make(chan struct{}),
		rng: rand.New(rand.NewPCG(l.seed, uint64(i))), slots: make([]slot, l.outstanding*(i+1)/l.connections-l.outstanding*i/l.connections)}
	c.result.latency = hdrhistogram.New(1, 10*60*1e6, 3)
	// Backwards, as the last one is taken first.
	for t := len(l.things) - 1; t >= 0; t-- {
		if t%l.connections == i {
			c.idle = append(c.idle, walk{thing: t})
		}
	}
	sub, err := nc.Subscribe("$aws.things.*"+c.inbox+">", c.answered)
	if err != nil {
		return nil, err
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, err
	}
	return c, nc.Flush()
}

func (c *lane) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.slots {
		c.next(i)
	}
	c.finish()
}

// next gives a slot something to do, if there is anything.
func (c *lane) next(i int) {
	l := c.load
	if len(c.idle) == 0 || l.stop.Load() || l.reports > 0 && l.sent.Add(1) > int64(l.reports) {
		return
	}
	at := len(c.idle) - 1
	if l.random {
		at = c.rng.IntN(len(c.idle))
	}
	s := &c.slots[i]
	s.walk = c.idle[at]
	c.idle[at] = c.idle[len(c.idle)-1]
	c.idle = c.idle[:len(c.idle)-1]
	s.turn++
	s.busy = true
	s.first = time.Now()
	c.inFlight++
	c.send(i)
}

// send publishes the report of a slot.
func (c *lane) send(i int) {
	l, s := c.load, &c.slots[i]
	s.again = time.Now().Add(repeatAfter)
	w := s.walk
	b := append(c.payload[:0], '{')
	subject := append(append(append(c.subject[:0], "$aws.things."...), l.things[w.thing]...), ".jobs."...)
	switch w.step {
	case 0:
		subject = append(subject, "start-next"...)
	default:
		subject = append(append(subject, l.jobs[w.job]...), ".update"...)
		if w.step <= l.progress {
			// 60 bytes of details.
			b = append(b, `"status":"IN_PROGRESS","statusDetails":{"phase":"download","progress":"block 0042 of 0100, 41943 bytes/s"},`...)
		} else {
			b = append(b, `"status":"SUCCEEDED",`...)
		}
		b = append(strconv.AppendInt(append(b, `"expectedVersion":`...), int64(w.step)+1, 10), ',')
	}
	token := (uint64(w.job)*uint64(len(l.things))+uint64(w.thing))*uint64(l.progress+2) + uint64(w.step)
	b = append(strconv.AppendUint(append(b, `"clientToken":"`...), token, 36), `"}`...)
	c.payload, c.subject = b, subject
	reply := "$aws.things." + l.things[w.thing] + c.inbox + strconv.Itoa(i) + "." + strconv.FormatUint(s.turn, 10)
	if err := c.nc.PublishRequest(string(subject), reply, b); err != nil && c.result.firstRejected == "" {
		c.result.firstRejected = err.Error()
	}
}

var (
	codeKey   = []byte(`"code":`)
	throttled = []byte(`"RequestThrottled"`)
)

func (c *lane) answered(m *nats.Msg) {
	now := time.Now()
	l := c.load
	_, rest, _ := strings.Cut(m.Subject, c.inbox)
	number, turn, _ := strings.Cut(rest, ".")
	i, err := strconv.Atoi(number)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || i >= len(c.slots) || !c.slots[i].busy || strconv.FormatUint(c.slots[i].turn, 10) != turn {
		return
	}
	s := &c.slots[i]
	if bytes.Contains(m.Data, throttled) {
		c.result.Throttled++
		s.again = now.Add(throttledAfter)
		return
	}
	s.busy = false
	c.inFlight--
	since := int64(now.Sub(l.start))
	if gap := since - l.lastNano.Swap(since); gap > l.gapNano.Load() {
		l.gapNano.Store(gap)
	}
	w := s.walk
	rejected := len(m.Data) == 0 || bytes.Contains(m.Data, codeKey) ||
		w.step == 0 && !bytes.Contains(m.Data, []byte(`"jobId":"`+l.jobs[w.job]+`"`))
	if rejected {
		c.result.Rejected++ // and its thing does nothing more
		if c.result.firstRejected == "" {
			c.result.firstRejected = fmt.Sprintf("%s %v: %.300s", l.things[w.thing], w, m.Data)
		}
	} else {
		c.result.Reports++
		_ = c.result.latency.RecordValue(min(max(now.Sub(s.first).Microseconds(), 1), c.result.latency.HighestTrackableValue()))
		if w.step++; w.step == l.progress+2 {
			w.step = 0
			w.job++
		}
		if w.job < len(l.jobs) {
			c.idle = append(c.idle, w)
		}
	}
	c.next(i)
	c.finish()
}

// repeat sends what has waited for too long again.
func (c *lane) repeat() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for i := range c.slots {
		if s := &c.slots[i]; s.busy && now.After(s.again) {
			c.result.Repeated++
			c.send(i)
		}
	}
	if c.load.stop.Load() {
		c.finish()
	}
}

// finish closes done once nothing is in flight: a slot that got nothing to do gets nothing later either.
func (c *lane) finish() {
	if c.inFlight > 0 {
		return
	}
	select {
	case <-c.done:
	default:
		close(c.done)
	}
}
