package device

import (
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// thingsMax is how many things may wait to be told. Beyond it notifications are dropped, and said so: they are hints,
// and a device asks when it connects.
const thingsMax = 128 << 10

// silentEvery is between two looks whether an owner that has to be silent may speak again.
const silentEvery = 50 * time.Millisecond

// Notify takes what things are to be told now that commit number stands, and the answers of that commit were given.
// It never blocks. done is called once everything in n was handed to the broker, or replaced by something newer that
// was. n belongs to the Front from here on.
func (f *Front) Notify(_ uint64, n []*v1.Notification, done func()) { f.notifier.add(n, done) }

// notifier publishes notifications from a goroutine of its own, so that a link that stalls delays no commit. What
// piles up meanwhile is merged by thing: a newer list replaces an older one, a newer head an older one.
type notifier struct {
	nc       *nats.Conn
	answers  *answers
	maySpeak func() bool
	log      *slog.Logger

	mu      sync.Mutex // guards what follows, for moments
	wake    *sync.Cond
	at      map[string]int // thing: its place in waiting
	waiting []*v1.Notification
	dones   []func()
	mark    uint64 // the answers that go before what waits
	dropped int    // notifications since the last warning
	stopped bool
}

func newNotifier(nc *nats.Conn, a *answers, maySpeak func() bool, log *slog.Logger) *notifier {
	n := &notifier{nc: nc, answers: a, maySpeak: maySpeak, log: log, at: map[string]int{}}
	n.wake = sync.NewCond(&n.mu)
	return n
}

func (n *notifier) add(list []*v1.Notification, done func()) {
	mark := n.answers.mark()
	n.mu.Lock()
	for _, one := range list {
		n.keep(one, func(waits *v1.Notification) *v1.Notification { return merge(waits, one) })
	}
	n.dones = append(n.dones, done)
	n.mark = mark
	n.mu.Unlock()
	n.wake.Signal()
}

// keep takes one to what waits; merged is what to tell instead if something waits for that thing already. The caller
// holds the lock.
func (n *notifier) keep(one *v1.Notification, merged func(waits *v1.Notification) *v1.Notification) {
	i, waits := n.at[one.GetThing()]
	switch {
	case waits:
		n.waiting[i] = merged(n.waiting[i])
	case len(n.waiting) >= thingsMax:
		n.dropped++
	default:
		n.at[one.GetThing()] = len(n.waiting)
		n.waiting = append(n.waiting, one)
	}
}

// takeBack keeps what may not be told now; what came since is newer.
func (n *notifier) takeBack(list []*v1.Notification, dones []func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, one := range list {
		n.keep(one, func(waits *v1.Notification) *v1.Notification { return merge(one, waits) })
	}
	n.dones = append(dones, n.dones...)
}

// merge is what to tell a thing that was not yet told of old.
func merge(old, new *v1.Notification) *v1.Notification {
	m := &v1.Notification{Thing: new.GetThing(), List: new.GetList(), Head: new.GetHead(), AtMs: new.GetAtMs()}
	if m.List == nil {
		m.List = old.GetList()
	}
	if m.Head == nil {
		m.Head = old.GetHead()
	}
	return m
}

func (n *notifier) stop() {
	n.mu.Lock()
	n.stopped = true
	n.mu.Unlock()
	n.wake.Signal()
}

// run publishes until stop, and then what still waits. While the owner must be silent it waits; if that lasts until stop,
// nothing more is told and nothing is done: the next owner compares and tells.
func (n *notifier) run() {
	for {
		n.mu.Lock()
		for len(n.dones) == 0 && !n.stopped {
			n.wake.Wait()
		}
		silent := !n.maySpeak()
		if len(n.dones) == 0 || silent && n.stopped {
			n.mu.Unlock()
			return
		}
		if silent {
			n.mu.Unlock()
			time.Sleep(silentEvery)
			continue
		}
		list, dones, mark, dropped := n.waiting, n.dones, n.mark, n.dropped
		n.waiting, n.dones, n.dropped = nil, nil, 0
		clear(n.at)
		n.mu.Unlock()
		if dropped > 0 {
			n.log.Warn("notifications dropped: the broker takes them too slowly", "dropped", dropped, "waiting", len(list))
		}
		if rest := n.publish(list, mark); len(rest) > 0 {
			n.takeBack(rest, dones)
			continue
		}
		for _, done := range dones {
			done()
		}
	}
}

// publish sends notifications behind the answers that were given before them. What fails is not tried again: the
// broker may have it, and a repeated notify-next makes real agents fail. It returns those that it may not send, because
// the owner has to be silent by now.
func (n *notifier) publish(list []*v1.Notification, mark uint64) (rest []*v1.Notification) {
	if len(list) == 0 {
		return nil
	}
	n.awaitConnection()
	if err := n.answers.flush(mark); err != nil {
		n.log.Warn("answers before notifications", "error", err)
	}
	var buf []byte
	var failed error
	for i, one := range list {
		if !n.maySpeak() {
			rest = list[i:]
			break
		}
		if one.List != nil {
			buf = appendNotify(buf[:0], one.List, one.GetAtMs())
			if err := n.nc.Publish(topicOf(one.GetThing(), "notify"), buf); err != nil {
				failed = err
			}
		}
		if one.Head != nil {
			buf = appendNotifyNext(buf[:0], one.Head, one.GetAtMs())
			if err := n.nc.Publish(topicOf(one.GetThing(), "notify-next"), buf); err != nil {
				failed = err
			}
		}
	}
	if err := n.nc.FlushTimeout(flushMax); err != nil {
		failed = err
	}
	if failed != nil {
		n.log.Warn("notifications may be lost", "things", len(list)-len(rest), "error", failed)
	}
	return rest
}

// awaitConnection waits while the connection is away, until stop. What piles up meanwhile is merged.
func (n *notifier) awaitConnection() {
	for !n.nc.IsConnected() && !n.nc.IsClosed() {
		n.mu.Lock()
		stopped := n.stopped
		n.mu.Unlock()
		if stopped {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}
