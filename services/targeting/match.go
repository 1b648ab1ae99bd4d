package targeting

import (
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// The bounds of one slice of matching, beside those of a selection's slice.
const (
	batchesMax = sliceEventsMax - 1
	batchBytes = 64 // about what a batch takes beside its things
)

// matching holds the changes that wait against the continuous jobs, in order, from where the last slice stopped.
//
// A change is a thing and a commit. To each job that may reach the thing it means: was it reached when the commit before
// had been written, and is it when this one has? Both are read from the memberships, which carry the commits that began
// and ended them, so that no job keeps a list of its things. A thing that moves between targets in one commit stays.
//
// A job whose selection is as of this commit or a later one learns the change by that selection; one whose selection
// is as of an earlier commit and has not finished holds matching up until it has.
type matching struct {
	state kv.Reader
	at    matchCursor
	max   bounds
	now   uint64 // the commit that is being built: what it changes waits

	jobs    []uint64 // with batches, in order of their first
	batches map[uint64][]batch
	count   int // batches
	things  int
	bytes   int
	looks   int
}

// batch is things that one event selects or deselects, for one reason.
type batch struct {
	joined bool
	target uint64 // that reaches them
	code   v1.ReasonCode
	things []*v1.ThingRef
}

// match carries matching on by a slice, and writes what came of it.
func (t targeting) match(s *core.Step) {
	if loadRunning(s).changes == 0 {
		return
	}
	m := &matching{state: s, max: t.slices, now: s.Number, batches: make(map[uint64][]batch)}
	if m.at = load(s, matchedKey(), decodeMatched); m.at.change != firstChange(s) {
		m.at = matchCursor{change: firstChange(s)}
	}
	began := m.at
	m.run()
	if m.at == began {
		return
	}
	for _, job := range m.jobs {
		for _, b := range m.batches[job] {
			b.emit(s, job)
		}
	}
	s.Emit(&v1.Event{Event: &v1.Event_ChangesMatched{ChangesMatched: &v1.ChangesMatched{Resume: encodeMatched(m.at)}}}, nil)
}

func (b batch) emit(s *core.Step, job uint64) {
	if b.joined {
		s.Emit(&v1.Event{Event: &v1.Event_ThingsSelected{ThingsSelected: &v1.ThingsSelected{Job: job, Things: b.things, Joined: true}}},
			core.Reason(b.code, int64(b.target)))
		return
	}
	s.Emit(&v1.Event{Event: &v1.Event_ThingsDeselected{ThingsDeselected: &v1.ThingsDeselected{Job: job, Things: b.things}}}, core.Reason(b.code))
}

// run matches change after change, until the slice is full, a job holds it up, or none is left.
func (m *matching) run() {
	table := kv.NewKey(tableChange)
	for k, v := range m.state.Scan(m.at.key(), kv.PrefixEnd(table)) {
		c := parseChange(k)
		if c.commit >= m.now || m.full() {
			return
		}
		m.looks++
		if c != m.at.change {
			m.at = matchCursor{change: c}
		}
		var done bool
		if c.kind == kindGroup {
			done = m.group(c)
		} else {
			done = m.thing(c, string(v), c.number, v1.ReasonCode_REASON_CODE_LEFT_TARGETS)
		}
		if !done {
			return
		}
		m.at = matchCursor{change: change{c.commit, c.kind, c.number + 1}}
	}
}

func (m *matching) full() bool {
	return m.things >= m.max.things || m.count >= batchesMax || m.bytes > sliceNamesMax-nameBytesMax || m.looks >= m.max.looks
}

// group matches the end of a deleted group's memberships. False: it goes on later.
func (m *matching) group(c change) bool {
	table := kv.NewKey(tableMember).Uint(c.number)
	from := table
	if m.at.name != "" {
		from = memberKey(c.number, m.at.name, m.at.thing)
	}
	for k, v := range m.state.Scan(from, kv.PrefixEnd(table)) {
		name, rest := kv.CutString(k[len(table):])
		number, _ := kv.CutUint(rest)
		if name != m.at.name || number != m.at.thing {
			m.at.name, m.at.thing, m.at.job = name, number, 0
		}
		if m.full() {
			return false
		}
		m.looks++
		stay, ok := decodeStay(v)
		if !ok {
			panic(damaged(kv.Key(k)))
		}
		if !stay.at(c.commit-1) || m.elsewhere(c, number) {
			continue
		}
		if !m.thing(c, name, number, v1.ReasonCode_REASON_CODE_GROUP_DELETED) {
			return false
		}
	}
	return true
}

// elsewhere says whether a member of a deleted group is matched for the same commit by another change: its own, or
// that of a group that comes before this one.
func (m *matching) elsewhere(c change, thing uint64) bool {
	if has(m.state, changeKey(c.commit, kindThing, thing)) {
		return true
	}
	for _, s := range loadMemberships(m.state, thing) {
		if s.group < c.number && s.at(c.commit-1) && loadGroup(m.state, s.group).deleted == c.commit {
			return true
		}
	}
	return false
}

// thing matches one thing's change with the jobs that may reach it. False: it goes on later. One that was deleted since
// has left every job by that.
func (m *matching) thing(c change, name string, number uint64, left v1.ReasonCode) bool {
	if alive, _, ok := findThing(m.state, id.Thing(name)); !ok || alive != number {
		return true
	}
	before, after := m.reachOf(name, number, c.commit-1), m.reachOf(name, number, c.commit)
	for {
		jobs := m.followers(before, after, m.at.job)
		for _, job := range jobs {
			if m.full() {
				return false
			}
			m.looks++
			targets, blocked := m.targets(job, c.commit)
			if blocked {
				return false
			}
			was, is := m.index(job, before, targets), m.index(job, after, targets)
			ref := &v1.ThingRef{Name: name, Number: number}
			switch {
			case was == nowhere && is != nowhere:
				m.add(job, batch{joined: true, target: is, code: v1.ReasonCode_REASON_CODE_JOINED}, ref)
			case was != nowhere && is == nowhere:
				m.add(job, batch{code: left}, ref)
			}
			m.at.job = job
		}
		if len(jobs) < m.max.jobs {
			return true
		}
	}
}

// add appends a thing to the last batch of a job, or begins another one.
func (m *matching) add(job uint64, b batch, ref *v1.ThingRef) {
	list := m.batches[job]
	if len(list) == 0 {
		m.jobs = append(m.jobs, job)
	}
	if n := len(list); n == 0 || list[n-1].joined != b.joined || list[n-1].target != b.target || list[n-1].code != b.code {
		list = append(list, b)
		m.count++
		m.bytes += batchBytes
	}
	last := &list[len(list)-1]
	last.things = append(last.things, ref)
	m.batches[job] = list
	m.things++
	m.bytes += len(ref.Name)
}
