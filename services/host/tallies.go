package host

import (
	"slices"

	"github.com/droverhq/drover/projections/tally"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

const (
	// gulpMs is how long tallies may wait to be merged with more; the design allows 1 s, but the end of a job waits
	// for them too.
	gulpMs = 250
	// gulpMax is how many tallies one Observe gets: at about 40 bytes each they fit into one call.
	gulpMax = 1000
)

// gulp is the tallies of some commits of the homes, merged, and the cursors that say which commits.
type gulp struct {
	homes  []*v1.HomeTally // ascending by home; tallies ascending by job
	count  int
	since  int64    // when the first came
	urgent bool     // a home settled a phase: a job may be waiting for it
	upTo   []cursor // of every upstream log, as of this gulp
}

// merge adds the tallies of one commit.
func (g *gulp) merge(home uint32, number uint64, tallies []*v1.Tally) {
	i, found := slices.BinarySearchFunc(g.homes, home, func(h *v1.HomeTally, home uint32) int { return int(h.Home) - int(home) })
	if !found {
		g.homes = slices.Insert(g.homes, i, &v1.HomeTally{Home: home})
	}
	h := g.homes[i]
	h.UpTo = number
	before := len(h.Tallies)
	h.Tallies = tally.Merge(h.Tallies, tallies)
	g.count += len(h.Tallies) - before
	g.urgent = g.urgent || slices.ContainsFunc(tallies, func(t *v1.Tally) bool { return t.Settled != 0 })
}

// due says that the gulp should be observed now.
func (g *gulp) due(now int64) bool { return g.urgent || now >= g.since+gulpMs }

// next is when it will be.
func (g *gulp) next() int64 {
	if g.urgent {
		return 0
	}
	return g.since + gulpMs
}

// gulpTallies merges the tallies of a commit of upstream log i into the last gulp, or into a new one.
func (m *Machine) gulpTallies(i int, to cursor, home uint32, tallies []*v1.Tally) {
	if len(tallies) == 0 && len(m.gulps) == 0 {
		m.seen[i] = to
		return
	}
	if n := len(m.gulps); n == 0 || m.gulps[n-1].count+len(tallies) > gulpMax && m.gulps[n-1].count > 0 {
		from := m.seen
		if n > 0 {
			from = m.gulps[n-1].upTo
		}
		m.gulps = append(m.gulps, &gulp{since: m.now, upTo: slices.Clone(from)})
	}
	g := m.gulps[len(m.gulps)-1]
	if len(tallies) > 0 {
		g.merge(home, to.number, tallies)
	}
	g.upTo[i] = to
}

// observe hands the first gulp to the core; all of them if the core waits for a current state, as far as they fit. Only
// the cursors of logs that are read by tallies move with it.
func (b *build) observe() error {
	for b.gulps < len(b.m.gulps) && (b.gulps == 0 || b.m.ends != nil) {
		g := b.m.gulps[b.gulps]
		last := g.homes[len(g.homes)-1]
		cause := &v1.Entry_Position{Position: &v1.Position{Service: v1.Service_SERVICE_EXECUTION, Home: last.Home, Number: last.UpTo}}
		done, err := b.call(&v1.Entry{Cause: cause}, func(s *core.Step) { b.m.cfg.Core.Observe(s, g.homes) })
		if err != nil || !done {
			return err
		}
		b.gulps++
		for i, u := range b.m.upstream {
			if u.tallied {
				b.seen[i] = g.upTo[i]
			}
		}
	}
	return nil
}
