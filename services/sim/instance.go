package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/host"
	"github.com/droverhq/drover/services/sim/stage"
)

// instance is one host of a log: a machine, what drives it step by step, and what survives it.
type instance struct {
	w     *world
	log   *simLog
	owner string
	store *store
	head  head

	off        bool  // it does not come up
	bootAt     int64 // when it comes up next
	pausedTill int64 // it stands still between two things
	hangs      bool  // it stands still amid something
	lives      int

	m          *host.Machine // nil: it is down
	lease      *lease
	claimed    bool       // it does not stand by any more
	subscribed bool       // requests come to it
	socket     []delivery // that have come and were not read
	waiting    int        // requests that are handed in and not answered
	steps      bool       // it is in Machine.Step
	reader     *stage.Reader
	ends       []uint64 // of each upstream log, read for the machine and not handed in
	sealed     *eventstore.Sealed
	next       host.Next
	tells      []telling // on their way to the broker, in order
	dones      []func()  // handed over, and the host does not know it yet
	leaves     bool      // it stops gracefully
}

func newInstance(w *world, l *simLog, owner string) *instance {
	i := &instance{w: w, log: l, owner: owner, store: newStore(), next: host.Go}
	// The second host of a log comes up when the seed says so.
	i.off = owner == "b"
	return i
}

func (i *instance) String() string { return i.log.name.String() + "/" + i.owner }

func (i *instance) describe() string {
	if i.m == nil {
		return i.String() + " is down;"
	}
	s := fmt.Sprintf("%s is %s at %d, waits %q, %d requests, %d upstream, next in %d ms, lease for %d ms", i, i.m.State(), i.m.End().Number, i.m.Waits(), i.m.Waiting(), i.m.Behind(), i.m.Next()-i.w.now, i.lease.until-i.w.now)
	if i.reader != nil {
		s += fmt.Sprint(i.reader.Blocked())
	}
	return s + ";"
}

// act does one thing that this instance could do next. Between any two of them it may crash.
func (i *instance) act() error {
	w := i.w
	if i.hangs || w.now < i.pausedTill {
		return nil
	}
	if i.off {
		if w.calm || !w.chance(w.odds.second) {
			return nil
		}
		i.off = false
	}
	if i.m == nil {
		if w.now < i.bootAt {
			return nil
		}
		return i.boot()
	}
	if !w.calm && w.chance(w.odds.crash) {
		w.met("crash")
		i.crash("crash")
		return nil
	}
	if !w.calm && w.chance(w.odds.pause) {
		w.met("pause")
		w.note("%s stands still", i)
		i.pausedTill = w.now + w.rng.Int64N(pauseMs)
		i.lease.late(i.pausedTill)
		return nil
	}
	i.lease.act()
	if w.chance(w.odds.flush) {
		i.store.Flush()
	}
	if w.chance(w.odds.flush) {
		i.head.Sync()
	}
	if w.chance(0.8) {
		i.receive()
	}
	if i.next == host.Go && i.waiting != i.m.Waiting() {
		return broken("%d requests wait, the host knows of %d", i.waiting, i.m.Waiting())
	}
	switch {
	case i.next != host.Go:
		return i.pursue()
	case i.lease.lost && w.chance(0.2):
		return i.ended(i.m.Depose())
	case !i.claimed:
		return i.standBy()
	case i.m.Owns() && i.reader == nil:
		return i.follow()
	case i.m.CaughtUp():
		return i.m.Retell(context.Background())
	}
	i.subscribed = i.m.Serving()
	if i.subscribed && i.other().subscribed {
		w.met("two serve at once")
	}
	if w.chance(w.odds.tell) {
		if err := i.tell(); err != nil {
			return err
		}
	}
	if i.reader != nil && w.chance(w.odds.read) {
		if err := i.read(); err != nil || i.m == nil {
			return err
		}
	}
	if err := i.readEnds(); err != nil {
		return err
	}
	if !w.chance(w.odds.step) {
		return nil
	}
	if !i.m.Owns() && i.m.Next() > w.now {
		return nil
	}
	i.m.Held(i.until())
	var sealed *eventstore.Sealed
	var err error
	if !w.calm && w.chance(w.odds.stop) {
		w.met("graceful stop")
		i.subscribed, i.leaves = false, true
		i.receive()
		sealed, err = i.m.Stop(w.now)
	} else {
		i.steps = true
		sealed, err = i.m.Step(w.now)
		i.steps = false
	}
	if err != nil {
		return i.ended(err)
	}
	if sealed != nil {
		i.sealed, i.next = sealed, host.Append
		// Mostly it is sent at once; between deciding and sending others may act, and it may crash.
		if !w.chance(0.2) {
			w.hang(i)
			return i.pursue()
		}
	}
	if sealed == nil && i.leaves {
		return i.leave()
	}
	return nil
}

// standBy folds some of what the owner has written, and claims the log if it may.
func (i *instance) standBy() error {
	ctx := context.Background()
	if i.lease.held {
		i.claimed = true
		if err := i.m.FoldNew(ctx); err != nil {
			return err
		}
		i.m.Claim()
		return nil
	}
	if !i.w.chance(i.w.odds.read) {
		return nil
	}
	_, last, err := i.log.log.Bounds(ctx)
	if err != nil {
		return err
	}
	last = min(last, i.m.End().Number+i.w.rng.Uint64N(16))
	if last <= i.m.End().Number {
		return nil
	}
	return i.log.log.ReadTo(ctx, i.m.End(), last, i.m.Fold)
}

// receive reads what has come. It is then that a request has arrived.
func (i *instance) receive() {
	for len(i.socket) > 0 {
		d := i.socket[0]
		i.socket = i.socket[1:]
		i.submit(d)
	}
}

func (i *instance) submit(d delivery) {
	r, done, early, life := d.r, d.r.Done, i.lease.runs(), i.lives
	i.m.Held(i.until())
	r.Arrived = time.UnixMilli(i.w.now)
	r.Done = func(reply proto.Message, err error) {
		if i.waiting--; life != i.lives {
			i.w.fail(broken("%s is answered by a life that is over", i))
		}
		i.w.fail(i.w.checker.answered(i, d.q, early, reply, err))
		if !errors.Is(err, host.ErrDropped) {
			done(reply, err)
		}
	}
	i.waiting++
	i.m.Submit(r)
}

// until is the lease's end for the machine; the zero time if it is not held.
func (i *instance) until() time.Time {
	if !i.lease.held {
		return time.Time{}
	}
	return time.UnixMilli(i.lease.until)
}

// maySpeak is what the machine asks right before it answers: so it is here that the worst pause begins.
func (i *instance) maySpeak() bool {
	i.w.hang(i)
	if !i.lease.speaks() {
		i.w.met("answer withheld")
		return false
	}
	return true
}

// other is the other host of the log.
func (i *instance) other() *instance {
	for _, o := range i.w.instances {
		if o.log == i.log && o != i {
			return o
		}
	}
	return nil
}

// leave ends a graceful stop: what it knows is flushed, then the lease released. It may stand by again at once.
func (i *instance) leave() error {
	i.w.note("%s stops", i)
	i.store.Flush()
	i.head.Sync()
	return i.end(i.w.rng.Int64N(3000))
}

// end ends a life that has answered everybody.
func (i *instance) end(pause int64) error {
	if i.waiting != 0 {
		return broken("%s has ended with %d requests that were not answered", i, i.waiting)
	}
	i.lease.release()
	i.forget()
	i.bootAt = i.w.now + pause
	return nil
}

// boot brings it up from what it kept.
func (i *instance) boot() error {
	m, err := host.Boot(context.Background(), i.config())
	if err != nil {
		return fmt.Errorf("boot: %w", err)
	}
	i.forget()
	i.m, i.lease = m, newLease(i)
	i.w.note("%s boots at %d", i, m.End().Number)
	return nil
}

// crash loses all that is not on its disk, and perhaps some of what is.
func (i *instance) crash(why string) {
	i.w.note("%s: %s", i, why)
	i.forget()
	if i.w.chance(i.w.odds.revert) {
		i.store.revert()
	}
	if i.w.chance(i.w.odds.revert) {
		i.head.revert()
	}
	i.bootAt = i.w.now + i.w.rng.Int64N(3000)
}

// forget loses what is in memory.
func (i *instance) forget() {
	i.m, i.reader, i.ends, i.sealed, i.next = nil, nil, nil, nil, host.Go
	i.tells, i.dones, i.leaves = nil, nil, false
	i.lease, i.claimed, i.subscribed, i.socket, i.waiting = nil, false, false, nil, 0
}

// ended takes in that the machine ended itself. Where another owns the log, this one stays away a while.
func (i *instance) ended(err error) error {
	if !errors.Is(err, host.ErrDeposed) && !errors.Is(err, host.ErrUnresolved) {
		return err
	}
	switch {
	case errors.Is(err, host.ErrDeposed) && !i.lease.lost:
		i.w.met("deposed by the log")
	case errors.Is(err, host.ErrDeposed):
		i.w.met("deposed by the lease")
	default:
		i.w.met("unresolved for 30 s")
	}
	i.w.note("%s: %v", i, err)
	return i.end(i.w.rng.Int64N(5000))
}

// pursue does the next thing about the commit under way.
func (i *instance) pursue() error {
	ctx := context.Background()
	var err error
	switch i.next {
	case host.Append:
		err = i.log.log.Append(ctx, *i.sealed)
		i.w.note("%s appends %d %s: %v", i, i.sealed.Number, i.sealed.Hash, err)
		if !i.w.calm && i.w.chance(i.w.odds.crash) {
			i.w.met("crash")
			i.crash("crash before the answer")
			return nil
		}
		i.w.hang(i)
		i.next, err = i.m.Appended(i.w.now, err)
	case host.Look:
		found, rerr := i.log.log.Read(ctx, i.sealed.Number)
		i.next, err = i.m.Found(i.w.now, found, rerr)
	}
	if err != nil {
		return i.ended(err)
	}
	switch {
	case i.next == host.Go && i.leaves:
		return i.leave()
	case i.next == host.Go && !i.m.Owns():
		return i.m.FoldNew(ctx)
	}
	return nil
}

// follow begins to read upstream.
func (i *instance) follow() (err error) {
	i.reader, err = stage.NewReader(context.Background(), i.log.Log, i.m)
	return err
}

// read reads a few commits of one upstream log, and hands on a few of all in causal order.
func (i *instance) read() error {
	w := i.w
	if err := i.reader.Read(context.Background(), w.rng.IntN(i.reader.Upstreams()), 1+w.rng.Uint64N(8)); err != nil {
		return err
	}
	if _, err := i.reader.Deliver(w.now, w.rng.IntN(16)); err != nil {
		return err
	}
	if i.reader.BehindItself() {
		return i.ended(i.m.Depose())
	}
	return nil
}

// readEnds reads the ends of the upstream logs if the machine wants them. It hears of them in the same moment or some time
// later, and while a log is away it does not.
func (i *instance) readEnds() error {
	w := i.w
	if i.reader != nil && i.ends == nil && i.m.WantsEnds() && w.chance(w.odds.read) {
		for _, l := range w.logs {
			if w.now < l.awayTill && slices.Contains(i.log.Upstream, l.Log) {
				w.met("end not read")
				return nil
			}
		}
		ends, err := i.reader.Ends(context.Background())
		if err != nil {
			return err
		}
		i.ends = ends
		w.hang(i)
	}
	if i.ends != nil && w.chance(w.odds.read) {
		w.met("ends read")
		i.m.Ends(i.ends)
		i.ends = nil
	}
	return nil
}

// telling is what one commit tells.
type telling struct {
	number uint64
	n      []*v1.Notification
	done   func()
}

// Notify implements host.Notifier: the broker has it some time later, or never.
func (i *instance) Notify(number uint64, n []*v1.Notification, done func()) {
	i.w.note("%s tells %d things of %d", i, len(n), number)
	i.tells = append(i.tells, telling{number, n, done})
}

// tell brings what is to be told to the broker, in order; the host hears of it then or later, in no order. While the
// lease is running out it waits, as the device front does: what is withheld is not done.
func (i *instance) tell() error {
	c := i.w.checker
	if n := len(i.tells); n > 0 && !i.lease.speaks() {
		i.w.met("notification withheld")
	} else if n > 0 {
		t := i.tells[0]
		i.tells = i.tells[1:]
		if l := c.logs[i.log.name]; !i.w.odds.lies && (l.owner != i.owner || l.epoch != i.m.Epoch()) {
			return broken("%s tells devices of %d; %s owns the log since epoch %d", i, t.number, l.owner, l.epoch)
		}
		for _, x := range t.n {
			c.notified(i.log, c.logs[i.log.name].epoch, x)
		}
		i.dones = append(i.dones, t.done)
	}
	if n := len(i.dones); n > 0 && i.w.chance(0.7) {
		k := i.w.rng.IntN(n)
		done := i.dones[k]
		i.dones = append(i.dones[:k], i.dones[k+1:]...)
		done()
	}
	return nil
}

// checkFold compares the state with a fold of the whole log.
func (i *instance) checkFold() error {
	cfg := i.config()
	cfg.State, cfg.Head = newStore(), nil
	if _, err := host.Boot(context.Background(), cfg); err != nil {
		return err
	}
	if d := difference(i.store, cfg.State); d != "" {
		return fmt.Errorf("the state is not the fold of the log: %s", d)
	}
	return nil
}
