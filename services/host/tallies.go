package host

import (
	"cmp"
	"slices"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/projections/tally"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

const (
	// gulpMs is how long tallies may wait to be merged with more; the design allows 1 s, but the end of a job waits
	// for them too.
	gulpMs = 250
	// gulpMax is how many jobs at homes one Observe is about: merged, at about 40 bytes each, they fit into one call.
	// talliesMax bounds what stands for them in memory.
	gulpMax    = 1000
	talliesMax = 20_000
)

// gulp is the tallies of some commits of the homes, and the cursors that say which commits.
type gulp struct {
	commits []commitTally
	about   map[jobAt]struct{}
	tallies int
	since   int64    // when the first came
	urgent  bool     // a home settled a phase: a job may be waiting for it
	upTo    []cursor // of every upstream log, as of this gulp
}

// commitTally is what one commit says, and when it was decided.
type commitTally struct {
	atMs int64
	*v1.HomeTally
}

// jobAt is a job at a home.
type jobAt struct {
	home uint32
	job  uint64
}

// add adds the tallies of one commit.
func (g *gulp) add(home uint32, number uint64, atMs int64, tallies []*v1.Tally) {
	g.commits = append(g.commits, commitTally{atMs, &v1.HomeTally{Home: home, UpTo: number, Tallies: tally.Observed(tallies)}})
	for _, t := range tallies {
		g.about[jobAt{home, t.Job}] = struct{}{}
	}
	g.tallies += len(tallies)
	g.urgent = g.urgent || slices.ContainsFunc(tallies, func(t *v1.Tally) bool { return t.Settled != 0 })
}

// full says that a gulp has no room for so many more tallies. One that is empty has room for any.
func (g *gulp) full(more int) bool {
	return more > 0 && g.tallies > 0 && (len(g.about)+more > gulpMax || g.tallies+more > talliesMax)
}

// inOrder are the tallies by when their commits were decided; of one moment by home.
func (g *gulp) inOrder() []*v1.HomeTally {
	slices.SortStableFunc(g.commits, func(x, y commitTally) int { return cmp.Or(cmp.Compare(x.atMs, y.atMs), cmp.Compare(x.Home, y.Home)) })
	list := make([]*v1.HomeTally, len(g.commits))
	for i, c := range g.commits {
		list[i] = c.HomeTally
	}
	return list
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

// gulpTallies adds the tallies of a commit of upstream log i to the last gulp, or to a new one.
func (m *Machine) gulpTallies(i int, to cursor, c *eventstore.Commit) {
	tallies := c.Tallies
	if len(tallies) == 0 && len(m.gulps) == 0 {
		m.seen[i] = to
		return
	}
	if n := len(m.gulps); n == 0 || m.gulps[n-1].full(len(tallies)) {
		from := m.seen
		if n > 0 {
			from = m.gulps[n-1].upTo
		}
		m.gulps = append(m.gulps, &gulp{since: m.now, upTo: slices.Clone(from), about: map[jobAt]struct{}{}})
	}
	g := m.gulps[len(m.gulps)-1]
	if len(tallies) > 0 {
		g.add(uint32(c.Log.Home), c.Number, c.AtMs, tallies)
	}
	g.upTo[i] = to
}

// observe hands the first gulp to the core; all of them if the core waits for a current state, as far as they fit. Only
// the cursors of logs that are read by tallies move with it.
func (b *build) observe() error {
	for b.gulps < len(b.m.gulps) && (b.gulps == 0 || b.m.ends != nil) {
		g := b.m.gulps[b.gulps]
		commits := g.inOrder()
		last := commits[len(commits)-1]
		cause := &v1.Entry_Position{Position: &v1.Position{Service: v1.Service_SERVICE_EXECUTION, Home: last.Home, Number: last.UpTo}}
		done, err := b.call(&v1.Entry{Cause: cause}, func(s *core.Step) { b.m.cfg.Core.Observe(s, commits) })
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
