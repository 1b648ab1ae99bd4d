// Package sim is the system in one goroutine under one seed: every core in two hosts, on logs in memory, with devices
// and an operator, and with everything going wrong that may go wrong.
//
// It promises that a seed gives one history, event by event, and that a run either keeps every invariant (check.go)
// and finishes all jobs within bounded time after the faults have ended, or says which one it broke, and when. It
// leaves the broker, the disk and the fronts to tests of the running system. (design §4)
package sim

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/memory"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/host"
	"github.com/droverhq/drover/services/sim/stage"
)

const (
	homes = 2
	// faultTicks is how long things go wrong, quietTicks how long all that is left may take afterwards, idleTicks
	// how long then nothing may be written. A tick is up to odds.tickMs while things go wrong, and then up to tickMs.
	faultTicks = 1000
	quietTicks = 20000
	idleTicks  = 400
	tickMs     = 60
	// pauseMs bounds a pause of an instance; hangsMax how many stand still amid something at once.
	pauseMs  = 8000
	hangsMax = 2
	// compareOdds is how often a standby is compared with its owner, where it can be.
	compareOdds = 0.02
	// epochMs is when histories begin.
	epochMs = 1_700_000_000_000
)

// Result is what a run was.
type Result struct {
	Seed uint64
	// Trace is a hash over everything that happened.
	Trace [32]byte
	Ticks int
	// Met is what happened how often, so that a test can say that a run was not empty.
	Met map[string]int
}

// Run plays one seed.
func Run(seed uint64) (Result, error) {
	w := newWorld(seed)
	err := w.run()
	if err != nil {
		err = fmt.Errorf("seed %d, tick %d: %w", seed, w.ticks, err)
	}
	w.result.Seed, w.result.Ticks = seed, w.ticks
	w.trace.Sum(w.result.Trace[:0])
	return w.result, err
}

// world is one run.
type world struct {
	rng    *rand.Rand
	odds   odds
	trace  hash.Hash
	tell   []io.Writer // the trace, and whoever watches
	now    int64
	ticks  int
	calm   bool // the faults have ended
	hangs  int  // instances that stand still amid something, below one another
	broke  error
	result Result

	logs      []*simLog
	instances []*instance
	devices   []*device
	operator  *operator
	checker   *checker
}

// simLog is a log with what a host of it needs.
type simLog struct {
	*stage.Log
	name     id.Log
	backend  *memory.Backend
	log      *eventstore.Log
	register register
	fullTill int   // tick
	awayTill int64 // ms
	checked  eventstore.Mark
}

func newWorld(seed uint64) *world {
	w := &world{result: Result{Met: map[string]int{}}, rng: rand.New(rand.NewPCG(seed, 0x64726f766572)), trace: sha256.New(), now: epochMs}
	w.tell = []io.Writer{w.trace}
	w.odds = drawOdds(w.rng)
	limits := stage.DefaultLimits()
	if seed%3 == 0 {
		limits.Rollout.ConcurrentMax = 1 + seed/3%2 // jobs wait for each other
	}
	for _, on := range stage.Logs(homes, limits) {
		l := &simLog{Log: on, name: on.Name, backend: on.Backend, log: on.Log}
		l.backend.SetFault(func(number uint64) memory.Fault { return w.fault(l, number) })
		w.logs = append(w.logs, l)
	}
	for _, l := range w.logs {
		for _, owner := range []string{"a", "b"} {
			w.instances = append(w.instances, newInstance(w, l, owner))
		}
	}
	w.checker = newChecker(w)
	w.operator = newOperator(w)
	return w
}

func (w *world) run() error {
	for w.ticks < faultTicks {
		if err := w.tick(); err != nil {
			return err
		}
	}
	if err := w.checker.audit(); err != nil {
		return err
	}
	w.heal()
	for end := w.ticks + quietTicks; !w.finished(); {
		if w.ticks >= end {
			return fmt.Errorf("not finished %d ticks after the faults ended: %s", quietTicks, w.unfinished())
		}
		if err := w.tick(); err != nil {
			return err
		}
	}
	return w.end()
}

// tick lets a little time pass, and everybody act who happens to.
func (w *world) tick() error {
	w.ticks++
	if w.calm {
		w.now += 1 + w.rng.Int64N(tickMs)
	} else {
		w.now += 1 + w.rng.Int64N(w.odds.tickMs)
		w.trouble()
	}
	for _, d := range w.devices {
		if w.chance(w.odds.device) {
			d.act()
		}
	}
	w.operator.act()
	for _, i := range w.rng.Perm(len(w.instances)) {
		if err := w.instances[i].act(); err != nil {
			return fmt.Errorf("%s: %w", w.instances[i], err)
		}
		if w.broke != nil {
			return w.broke
		}
	}
	if err := w.compare(); err != nil {
		return err
	}
	return w.checker.look()
}

// fail ends the run, from within something that returns no error.
func (w *world) fail(err error) {
	if err != nil && w.broke == nil {
		w.broke = err
	}
}

// compare holds the state of a standby against that of the owner where both have folded the same.
func (w *world) compare() error {
	k := 2 * w.rng.IntN(len(w.logs))
	a, b := w.instances[k], w.instances[k+1]
	if a.m == nil || b.m == nil || a.claimed == b.claimed || a.m.End() != b.m.End() || !w.chance(compareOdds) {
		return nil
	}
	w.met("standby compared")
	if d := difference(a.store, b.store); d != "" {
		return broken("%s and %s have folded %d; their states differ: %s", a, b, a.m.End().Number, d)
	}
	return nil
}

// heal ends all faults: an honest medium, two hosts of each log that run, devices that hear every answer.
func (w *world) heal() {
	w.calm = true
	for _, l := range w.logs {
		l.backend.SetFault(nil)
		l.backend.SetLimit(0)
		l.register.awayTill = 0
	}
	for _, i := range w.instances {
		i.off, i.pausedTill, i.bootAt = false, 0, w.now
	}
}

// hang lets an instance stand still amid what it does, as a stopped process does, while the world goes on.
func (w *world) hang(i *instance) {
	if w.calm || w.hangs == hangsMax || !w.chance(w.odds.hang) {
		return
	}
	w.met("pause amid something")
	w.note("%s stands still", i)
	w.hangs++
	i.hangs = true
	till := w.now + w.rng.Int64N(pauseMs)
	for i.lease.late(till); w.now < till && w.broke == nil; {
		w.broke = w.tick()
	}
	i.hangs = false
	w.hangs--
}

// finished says that nothing is left to do.
func (w *world) finished() bool { return w.operator.done() && w.checker.jobsLeft() == 0 }

func (w *world) unfinished() string {
	s := fmt.Sprintf("operator has %d commands left, jobs: %s;", w.operator.left(), w.checker.describeLeft())
	for _, i := range w.instances {
		if !i.off {
			s += " " + i.describe()
		}
	}
	return s
}

// end checks what can be checked of a system at rest.
func (w *world) end() error {
	// Timers, tallies and cursors come to rest; then nothing is written any more.
	for range idleTicks {
		if err := w.tick(); err != nil {
			return err
		}
	}
	ends := w.ends()
	for range idleTicks {
		if err := w.tick(); err != nil {
			return err
		}
	}
	if now := w.ends(); fmt.Sprint(now) != fmt.Sprint(ends) {
		return fmt.Errorf("an idle system appends: log ends were %v, are %v", ends, now)
	}
	if err := w.checker.finish(); err != nil {
		return err
	}
	for k := 0; k < len(w.instances); k += 2 {
		one, two := w.instances[k], w.instances[k+1]
		if one.m == nil || two.m == nil {
			return fmt.Errorf("of %s and %s one is down", one, two)
		}
		if err := one.checkFold(); err != nil {
			return fmt.Errorf("%s: %w", one, err)
		}
		if d := difference(two.store, one.store); d != "" {
			return broken("%s and %s differ: %s", two, one, d)
		}
	}
	return nil
}

func (w *world) ends() (ends []uint64) {
	for _, l := range w.logs {
		_, last, _ := l.log.Bounds(context.Background())
		ends = append(ends, last)
	}
	return ends
}

// met counts something that a run is to meet.
func (w *world) met(what string) { w.result.Met[what]++ }

// note makes something part of the trace.
func (w *world) note(format string, args ...any) {
	for _, to := range w.tell {
		fmt.Fprintf(to, "%d %d ", w.ticks, w.now-epochMs)
		fmt.Fprintf(to, format, args...)
		to.Write([]byte{'\n'})
	}
}

func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

// ask sends a request to who serves a log: to all that believe that they own it, for each has subscribed. Request and
// answer may be lost, or the request be sent twice.
func (w *world) ask(l *simLog, r host.Request) {
	done := r.Done
	r.Done = func(reply proto.Message, err error) {
		if err == nil {
			w.checker.accepted(l, r.Command, reply)
		}
		if !w.calm && w.chance(w.odds.answerLost) {
			return
		}
		done(reply, err)
	}
	times := 1
	if !w.calm && w.chance(w.odds.requestTwice) {
		times = 2
	}
	for range times {
		q := w.checker.asks(l, r.Command)
		for _, i := range w.instances {
			if i.log == l && i.subscribed && (w.calm || !w.chance(w.odds.requestLost)) {
				i.socket = append(i.socket, delivery{q, r})
			}
		}
	}
}

// config is the host's, on one instance's store.
func (i *instance) config() host.Config {
	cfg := i.log.Config(i.store, i.owner, i)
	cfg.Head, cfg.Clock, cfg.MaySpeak = &i.head, func() int64 { return i.w.now }, i.maySpeak
	return cfg
}
