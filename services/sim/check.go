package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/projections/tally"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/audit"
	"github.com/droverhq/drover/services/audit/invariants"
)

// checker reads every log as it grows, effects after causes, and knows nothing but what stands in them. Its rules by
// log are in check_*.go; those of every log are here:
//
//   - commits are of one log and one chain, numbers without gaps (the log's own reading)
//   - time does not go back, an epoch begins with its Owned, and only its owner writes in it
//   - a commit holds at most 256 KiB; cursors move forwards and name what stands there
//   - an outcome is recorded once for each command id, and no two entries have the same cause
//   - a request is answered by one host at most (check_answers.go)
type checker struct {
	w       *world
	causal  *eventstore.Causal
	logs    map[id.Log]*seenLog
	jobs    map[uint64]*jobFacts
	order   []uint64 // of jobs, as they were created
	fleet   fleet
	told    map[string]told
	asked   int
	answers []acceptedAnswer
	changes map[string]bool // every version of every execution that stands in a log
	// surprise is what somebody was told and nobody may be.
	surprise error
}

// seenLog is what was read of one log.
type seenLog struct {
	hashes   []uint64 // of commit n at n-1
	entries  []int
	at       int64
	owner    string
	epoch    uint64
	cursors  map[id.Log]*v1.Cursor
	commands map[string]uint64 // by id: the commit
	causes   map[string]uint64 // by place upstream: the commit
	tallies  []*v1.ObservedTally
}

// errBroken is an invariant that does not hold.
var errBroken = errors.New("invariant broken")

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errBroken, fmt.Sprintf(format, args...))
}

func newChecker(w *world) *checker {
	c := &checker{w: w, logs: map[id.Log]*seenLog{}, jobs: map[uint64]*jobFacts{}, told: map[string]told{}, fleet: newFleet(), changes: map[string]bool{}}
	var names []id.Log
	for _, l := range w.logs {
		names = append(names, l.name)
		c.logs[l.name] = &seenLog{cursors: map[id.Log]*v1.Cursor{}, commands: map[string]uint64{}, causes: map[string]uint64{}}
	}
	c.causal = eventstore.NewCausal(names)
	return c
}

// look reads what is new.
func (c *checker) look() error {
	ctx := context.Background()
	if c.surprise != nil {
		return c.surprise
	}
	for _, l := range c.w.logs {
		_, last, err := l.log.Bounds(ctx)
		if err != nil {
			return err
		}
		if last == l.checked.Number {
			continue
		}
		err = l.log.ReadTo(ctx, l.checked, last, func(x *eventstore.Commit) error {
			l.checked = x.Mark()
			c.causal.Add(x)
			return nil
		})
		if err != nil {
			return err
		}
	}
	for x := c.causal.Next(); x != nil; x = c.causal.Next() {
		if err := c.commit(x); err != nil {
			return fmt.Errorf("%s@%d: %w", x.Log, x.Number, err)
		}
	}
	if b := c.causal.Blocked(); len(b) > 0 {
		return broken("an effect stands without its cause: %v", b)
	}
	return nil
}

func (c *checker) commit(x *eventstore.Commit) error {
	l := c.logs[x.Log]
	c.w.note("%s@%d %s", x.Log, x.Number, x.Hash)
	c.w.met("commits")
	if x.AtMs < l.at {
		return broken("time goes back from %d to %d", l.at, x.AtMs)
	}
	if x.Size > 256<<10 {
		return broken("the commit has %d bytes", x.Size)
	}
	if x.EffectsDone >= x.Number {
		return broken("effects are done up to %d", x.EffectsDone)
	}
	l.at = x.AtMs
	if err := c.ownership(l, x); err != nil {
		return err
	}
	if err := c.cursors(l, x); err != nil {
		return err
	}
	for n, e := range x.Entries {
		if n == 0 && e.Cause == nil {
			return broken("the first entry has no cause")
		}
		if cmd := e.GetCommand(); cmd.GetType() != "" {
			if before, twice := l.commands[cmd.Id]; twice {
				return broken("command %q was decided in commits %d and %d", cmd.Id, before, x.Number)
			}
			l.commands[cmd.Id] = x.Number
		}
		if p := e.GetPosition(); p != nil {
			cause := id.FormatPosition(p)
			if before, twice := l.causes[cause]; twice {
				return broken("%s is the cause of entries in commits %d and %d", cause, before, x.Number)
			}
			l.causes[cause] = x.Number
		}
		var err error
		place := fmt.Sprintf("entry %d (%T)", n, e.Event.Event)
		number := id.Number(x.Number, n)
		switch x.Log.Service {
		case v1.Service_SERVICE_JOB:
			err = c.jobEvent(number, e.Event)
		case v1.Service_SERVICE_TARGETING:
			err = c.targetingEvent(number, e.Event)
		case v1.Service_SERVICE_ROLLOUT:
			err = c.rolloutEvent(x, e.Event)
		case v1.Service_SERVICE_EXECUTION:
			err = c.executionEvent(x, e.Event)
		}
		if q := e.Event.GetInputQuarantined(); q != nil {
			err = broken("a core panicked over a %s: %s", q.Type, q.Panic)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", place, err)
		}
	}
	return c.tallies(l, x)
}

func (c *checker) ownership(l *seenLog, x *eventstore.Commit) error {
	owned := 0
	for n, e := range x.Entries {
		if o := e.Event.GetOwned(); o != nil {
			owned++
			if n > 1 || o.Epoch != l.epoch+1 || o.Epoch != x.Epoch || o.Owner != x.Owner {
				return broken("%s owns epoch %d in a commit of %s, epoch %d, after epoch %d", o.Owner, o.Epoch, x.Owner, x.Epoch, l.epoch)
			}
			if l.owner != "" && l.owner != o.Owner {
				c.w.met("takeover by the other")
			}
			l.epoch, l.owner = o.Epoch, o.Owner
		}
	}
	if x.Owner != l.owner || x.Epoch != l.epoch {
		return broken("%s writes in epoch %d, which %s owns since epoch %d", x.Owner, x.Epoch, l.owner, l.epoch)
	}
	return nil
}

func (c *checker) cursors(l *seenLog, x *eventstore.Commit) error {
	for _, cur := range x.Cursors {
		log := id.Log{Service: cur.Service, Home: id.Home(cur.Home)}
		up := c.logs[log]
		if cur.Number == 0 || int(cur.Number) > len(up.hashes) || up.hashes[cur.Number-1] != cur.Hash {
			return broken("its cursor %s@%d names nothing that stands there", log, cur.Number)
		}
		if int(cur.EntriesDone) >= up.entries[cur.Number-1] && cur.EntriesDone > 0 {
			return broken("its cursor %s@%d has done %d of %d entries", log, cur.Number, cur.EntriesDone, up.entries[cur.Number-1])
		}
		if before := l.cursors[log]; before != nil && !forwards(before, cur) {
			return broken("its cursor on %s goes from %d.%d to %d.%d", log, before.Number, before.EntriesDone, cur.Number, cur.EntriesDone)
		}
		if cur.EntriesDone > 0 {
			c.w.met("cursor within a commit")
		}
		l.cursors[log] = cur
	}
	l.hashes = append(l.hashes, x.Hash.Prefix())
	l.entries = append(l.entries, len(x.Entries))
	return nil
}

func forwards(a, b *v1.Cursor) bool {
	if a.Number != b.Number {
		return b.Number > a.Number
	}
	return a.EntriesDone > 0 && (b.EntriesDone == 0 || b.EntriesDone > a.EntriesDone)
}

// tallies recounts what stands in front of a commit, and keeps the sums.
func (c *checker) tallies(l *seenLog, x *eventstore.Commit) error {
	if x.Log.Service != v1.Service_SERVICE_EXECUTION {
		if len(x.Tallies) > 0 {
			return broken("tallies in %s", x.Log)
		}
		return nil
	}
	want := tally.Of(x.Entries)
	if !slices.EqualFunc(x.Tallies, want, func(a, b *v1.Tally) bool { return proto.Equal(a, b) }) {
		return broken("its tallies are %v, its entries give %v", x.Tallies, want)
	}
	l.tallies = tally.Merge(l.tallies, tally.Observed(x.Tallies))
	return nil
}

// acceptedAnswer is an answer that a host gave, whether or not anybody heard it.
type acceptedAnswer struct {
	log     *simLog
	command proto.Message
	reply   proto.Message
}

func (c *checker) accepted(l *simLog, cmd, reply proto.Message) {
	c.w.met("accepted answer")
	c.answers = append(c.answers, acceptedAnswer{l, cmd, reply})
}

// finish checks what can be checked when all is done.
func (c *checker) finish() error {
	for _, a := range c.answers {
		if err := c.answerStands(a); err != nil {
			return err
		}
	}
	for _, number := range c.order {
		if err := c.finishJob(c.jobs[number]); err != nil {
			return fmt.Errorf("job %s: %w", c.jobs[number].id, err)
		}
	}
	if err := c.everybodyKnows(); err != nil {
		return err
	}
	if err := c.audit(); err != nil {
		return err
	}
	return c.recount()
}

// audit holds the logs, as they stand, against the rules of the audit.
func (c *checker) audit() error {
	var logs []*eventstore.Log
	for _, l := range c.w.logs {
		logs = append(logs, l.log)
	}
	h, err := audit.Read(context.Background(), logs, nil)
	if err != nil {
		return err
	}
	for _, v := range invariants.Check(h) {
		return broken("%s", v)
	}
	return nil
}

// answerStands looks for what was answered in the log.
func (c *checker) answerStands(a acceptedAnswer) error {
	var at *v1.Position
	switch r := a.reply.(type) {
	case *v1.UpdateExecutionReply:
		cmd := a.command.(*v1.UpdateExecution)
		if !c.changes[changeKey(cmd.JobId, cmd.Thing, r.State.VersionNumber, r.State.Status)] {
			return broken("%s was told that %s stands at %v of version %d; no event says so", cmd.Thing, cmd.JobId, r.State.Status, r.State.VersionNumber)
		}
		at = r.Position
	case *v1.StartNextReply:
		if e := r.Execution; e != nil && !c.changes[changeKey(e.JobId, e.Thing, e.VersionNumber, e.Status)] {
			return broken("%s was handed %s, %v of version %d; no event says so", e.Thing, e.JobId, e.Status, e.VersionNumber)
		}
		at = r.Position
	case *v1.CreateJobReply:
		if c.jobs[r.Job] == nil {
			return broken("job %d was answered, no event creates it", r.Job)
		}
		at = r.Position
	case interface{ GetPosition() *v1.Position }:
		at = r.GetPosition()
	}
	if at == nil {
		return nil // a question
	}
	if l := c.logs[a.log.name]; int(at.Number) > len(l.hashes) {
		return broken("%T was answered with %s; the log ends at %d", a.command, id.FormatPosition(at), len(l.hashes))
	}
	return nil
}

// recount compares the sums of the tallies with the executions as they stand, and what rollout has observed with both.
func (c *checker) recount() error {
	for _, number := range c.order {
		j := c.jobs[number]
		want := tally.Counts{}
		for _, list := range j.attempts {
			for _, e := range list {
				if !e.deleted {
					want.Attempts[e.status]++
				}
			}
		}
		got, seen := tally.Counts{}, tally.Counts{}
		for _, l := range c.w.logs[3:] {
			for _, t := range c.logs[l.name].tallies {
				if t.Job == number {
					got.AddObserved(t)
				}
			}
		}
		for _, t := range j.observed {
			seen.AddObserved(t)
		}
		if got.Attempts != want.Attempts {
			return broken("job %s: tallies sum up to %v, its executions to %v", j.id, got.Attempts, want.Attempts)
		}
		if seen != got {
			return broken("job %s: rollout observed %v, the homes tell %v", j.id, seen, got)
		}
	}
	return nil
}

func changeKey(job, thing string, version uint64, status v1.ExecutionStatus) string {
	return fmt.Sprintf("%s %s %d %d", job, thing, version, status)
}

// jobsLeft counts jobs that are not over, and executions that have not ended.
func (c *checker) jobsLeft() (n int) {
	for _, number := range c.order {
		n += c.jobs[number].left()
	}
	return n
}

func (c *checker) describeLeft() string {
	var left []string
	for _, number := range c.order {
		if j := c.jobs[number]; j.left() > 0 {
			left = append(left, j.describe())
		}
	}
	return strings.Join(left, "; ")
}
