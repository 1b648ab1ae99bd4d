package host

import (
	"context"
	"fmt"
	"hash/crc32"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// retellMax is about how many entries a takeover holds at once. There are more only where notifications were withheld or
// stuck for long while much was written.
const retellMax = 100_000

// cutter is a core that can cut an event down to what it may give some things to be told of; nil is nothing. Then many
// entries are gone through in pieces, each with all entries of some things.
type cutter interface {
	Cut(e *v1.Event, part func(thing string) bool) *v1.Event
}

// retold is how far a takeover has told. Parts are 0 before it has begun.
type retold struct{ parts, next int }

// Retell tells devices what the owner before may not have told, and begins to serve: it hands the core what was
// written since effects_done, which compares list and head before that with those of now. If a log cannot be read it
// may be called again, and goes on where it was. (design §4)
func (m *Machine) Retell(ctx context.Context) error {
	if m.phase != retelling {
		panic(fmt.Sprintf("%s: retell while %s", m.log, m.phase))
	}
	if m.cfg.Notifier != nil {
		if err := m.retellAll(ctx); err != nil {
			return err
		}
	}
	m.phase, m.dueAt = serving, 0
	return m.setHead()
}

func (m *Machine) retellAll(ctx context.Context) error {
	var entries []core.Placed
	if m.retold.parts == 0 {
		all, count, err := m.untold(ctx, 0, 1)
		if err != nil {
			return err
		}
		m.retold.parts = 1
		if entries = all; entries == nil {
			m.retold.parts += count / m.retellMax
		}
		m.effects = effects{done: m.effects.done, open: []effect{{number: m.end.Number, left: m.retold.parts, empty: true}}}
	}
	for m.retold.next < m.retold.parts {
		if entries == nil {
			var err error
			if entries, _, err = m.untold(ctx, m.retold.next, m.retold.parts); err != nil {
				return err
			}
		}
		n, err := m.notifications(entries)
		if err != nil {
			return m.stop(err)
		}
		entries = nil
		m.retold.next++
		m.hand(m.end.Number, n)
	}
	return nil
}

// untold reads what was written since effects_done: the entries of every thing that belongs to this part, and how many
// there are in all. Of one part that is too large it returns nil entries.
func (m *Machine) untold(ctx context.Context, part, parts int) (entries []core.Placed, count int, err error) {
	entries = []core.Placed{}
	if m.effects.done >= m.end.Number {
		return entries, 0, nil
	}
	after := eventstore.Mark{}
	if n := m.effects.done; n > 0 {
		c, err := m.cfg.Log.Read(ctx, n)
		if err != nil {
			return nil, 0, reading(err)
		}
		after = c.Mark()
	}
	cut := func(e *v1.Event) *v1.Event { return e }
	t, divides := m.cfg.Core.(cutter)
	if divides {
		cut = func(e *v1.Event) *v1.Event {
			return t.Cut(e, func(thing string) bool {
				return parts == 1 || int(crc32.ChecksumIEEE([]byte(thing))%uint32(parts)) == part
			})
		}
	}
	err = m.cfg.Log.ReadTo(ctx, after, m.end.Number, func(c *eventstore.Commit) error {
		for _, e := range placed(nil, c.Commit) {
			event := cut(e.Entry.Event)
			if event == nil {
				continue
			}
			if count++; divides && parts == 1 && count > m.retellMax {
				entries = nil
				continue
			}
			if event != e.Entry.Event {
				e.Entry = &v1.Entry{Event: event, Reason: e.Entry.Reason}
			}
			entries = append(entries, e)
		}
		return nil
	})
	return entries, count, reading(err)
}
