package host

import (
	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// effects remembers which commits' notifications were handed to the broker: all up to done, and of those after it,
// in order, which were.
type effects struct {
	done uint64
	open []effect
	// worth says that notifications were handed over that no commit records yet.
	worth bool
}

type effect struct {
	number uint64
	left   int // handings-over that are not done
	empty  bool
}

// told takes in that notifications of a commit were handed over; it reports whether done moved.
func (e *effects) told(number uint64) bool {
	for i := range e.open {
		if e.open[i].number == number {
			e.open[i].left--
			break
		}
	}
	return e.advance()
}

func (e *effects) advance() bool {
	n := 0
	for n < len(e.open) && e.open[n].left <= 0 {
		e.done = e.open[n].number
		e.worth = e.worth || !e.open[n].empty
		n++
	}
	e.open = e.open[n:]
	return n > 0
}

// Told hands in that the notifications of a commit were handed to the broker, flushed.
func (m *Machine) Told(number uint64) error {
	if m.effects.told(number) {
		return m.setHead()
	}
	return nil
}

// Untold is how many commits' notifications are not handed over.
func (m *Machine) Untold() int { return len(m.effects.open) }

// EffectsDone is the last commit whose notifications, and those of all before it, were handed over.
func (m *Machine) EffectsDone() uint64 { return m.effects.done }

// tell notifies of a commit that is part of the state.
//
// A crash before the broker has it leaves effects_done behind; the next owner tells what then still differs.
func (m *Machine) tell(number uint64, n []*v1.Notification) {
	m.effects.open = append(m.effects.open, effect{number: number, left: 1, empty: true})
	m.hand(number, n)
}

// hand hands over notifications of the last commit that was added.
func (m *Machine) hand(number uint64, n []*v1.Notification) {
	if len(n) == 0 {
		m.effects.told(number)
		return
	}
	m.effects.open[len(m.effects.open)-1].empty = false
	m.cfg.Notifier.Notify(number, n, m.toldFunc(number))
}

func (m *Machine) toldFunc(number uint64) func() {
	if f := m.onTold; f != nil {
		return func() { f(number) }
	}
	return func() { m.Told(number) }
}

// placed gives the entries of a commit that the core knows their places.
func placed(out []core.Placed, c *v1.Commit) []core.Placed {
	for i, e := range c.Entries {
		if !hosts(e.Event) {
			out = append(out, core.Placed{Place: core.Place{Number: c.Number, Entry: i, AtMs: c.AtMs}, Entry: e})
		}
	}
	return out
}

// notifications asks the core what to tell.
func (m *Machine) notifications(entries []core.Placed) (n []*v1.Notification, err error) {
	if m.cfg.Notifier == nil || len(entries) == 0 {
		return nil, nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = m.recovered("notify", p)
		}
	}()
	return m.cfg.Core.Notify(m.cfg.State, m.now, entries), nil
}

// setHead remembers the end of the log, and how far devices were told, outside of it.
func (m *Machine) setHead() error {
	if m.cfg.Head == nil || m.end.Number == 0 {
		return nil
	}
	if err := m.cfg.Head.Set(eventstore.Head{Mark: m.end.Mark, EffectsDone: m.effects.done}); err != nil {
		return m.stop(err)
	}
	return nil
}
