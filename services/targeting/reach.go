package targeting

import (
	"slices"

	"github.com/droverhq/drover/projections/kv"
)

// reach is what can make a thing a job's at a moment: its name, if it was there, and the names of the groups that it
// was in and of those above them.
type reach struct {
	thing  string
	groups []string
}

// reachOf is the reach of a thing when a commit had been written.
func (m *matching) reachOf(name string, number, commit uint64) (r reach) {
	if commitOf(number) > commit {
		return r
	}
	r.thing = name
	for _, s := range loadMemberships(m.state, number) {
		if !s.at(commit) {
			continue
		}
		if g := loadGroup(m.state, s.group); g.there(commit) {
			r.groups = append(r.groups, m.above(g)...)
		}
	}
	return r
}

// above are the names of a group and of those above it.
func (m *matching) above(g groupRow) (names []string) {
	for {
		names = append(names, g.name)
		if g.parent == 0 {
			return names
		}
		g = loadGroup(m.state, g.parent)
	}
}

// index is the first of a job's targets that reaches so, of the first few; nowhere if none does.
func (m *matching) index(job uint64, r reach, targets uint64) uint64 {
	first := nowhere
	find := func(key kv.Key) {
		if index, _, ok := getUint(m.state, key); ok && index < targets {
			first = min(first, index)
		}
	}
	if r.thing != "" {
		find(targetedThingKey(job, r.thing))
	}
	for _, name := range r.groups {
		find(targetedGroupKey(job, name))
	}
	return first
}

// targets is how many targets a job had before a commit; blocked: it still selects what they held then.
func (m *matching) targets(job, commit uint64) (n uint64, blocked bool) {
	follow := load(m.state, followKey(job), decodeFollow)
	if commit <= follow.since {
		return 0, false
	}
	table := kv.NewKey(tableSelection).Uint(job)
	for k, v := range m.state.Scan(table, kv.PrefixEnd(table)) {
		row, ok := decodeSelection(v)
		if !ok {
			panic(damaged(kv.Key(k)))
		}
		return row.first, row.asOf < commit
	}
	return follow.targets.all, false
}

// followers are the first continuous jobs behind one that name anything of two reaches, ascending; fewer than
// may be looked at together are all.
func (m *matching) followers(before, after reach, behind uint64) (jobs []uint64) {
	list := func(table byte, name string) {
		n := 0
		for k := range m.state.Scan(followedKey(table, name, behind+1), kv.PrefixEnd(kv.NewKey(table).String(name))) {
			if n++; n > m.max.jobs {
				return
			}
			job, _ := kv.CutUint(k[1+len(name)+1:])
			jobs = append(jobs, job)
		}
	}
	for _, r := range []reach{before, after} {
		if r.thing != "" {
			list(tableFollowedThing, r.thing)
		}
		for _, name := range r.groups {
			list(tableFollowedGroup, name)
		}
	}
	slices.Sort(jobs)
	jobs = slices.Compact(jobs)
	return jobs[:min(len(jobs), m.max.jobs)]
}
