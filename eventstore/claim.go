package eventstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/droverhq/drover/proto/id"
)

const (
	// leasePoll is between two looks at a lease that is not held.
	leasePoll = 200 * time.Millisecond
	// leaseRenew is between two renewals of one that is.
	leaseRenew = 300 * time.Millisecond
	// leaseRetry is how soon what failed is tried again.
	leaseRetry = 100 * time.Millisecond
	// leaseYield is how much longer than the preferred member any other waits.
	leaseYield = 2 * LeaseTTL
	// outage is after how long without an answer from the registers what was seen before it tells nothing about time: the
	// others may not have reached them either.
	outage = time.Second
)

// leaseValue is what the register of a lease holds, as JSON.
type leaseValue struct {
	Owner    string `json:"owner"` // the member's name
	Start    string `json:"start"` // Member.Start of its process
	Nonce    string `json:"nonce"` // of the Lease: no two have the same
	Turn     uint64 `json:"turn"`  // counts the Sets of one Lease
	SinceMs  int64  `json:"since_ms"`
	Released bool   `json:"released,omitempty"`
}

// ownerPrefix begins the names of the registers of leases.
const ownerPrefix = "owner"

// ownerRegister is the register of a log's lease: owner.job, owner.execution-3.
func ownerRegister(log id.Log) string {
	return ownerPrefix + "." + strings.ReplaceAll(log.String(), ".", "-")
}

// parseOwnerRegister is the twin of ownerRegister.
func parseOwnerRegister(name string) (id.Log, error) {
	name = strings.TrimPrefix(name, ownerPrefix+".")
	return id.ParseLog(strings.Replace(name, "-", ".", 1))
}

// claim is a Lease without goroutines, clock and registers: it is told the time and what came of each call, and says
// what to do next. After each next that says get or set, looked or wasSet must follow before the next next.
//
// Why two can never hold a lease at once, as long as their clocks run equally fast:
//
//	A holder counts from before it sent the Set that made or renewed the lease, for LeaseTTL.
//	Whoever waits counts from after it first saw that Set's revision, which is later, for LeaseTTL at least, and then
//	replaces that revision and no other: had the holder renewed meanwhile, it would be refused.
//	A register that is not there may have been lost, with its holder still there. Whoever makes it anew holds nothing
//	before it has had it for LeaseTTL, renewing it, each time from its own last revision: by then nobody else's
//	last Set is as young as that.
//
// A value that was read too late, or out of order, delays a claim and does no harm: nobody's time begins with a read.
type claim struct {
	me    leaseValue // Owner, Start, Nonce; Turn is that of the last Set
	alone bool

	// What was seen of the register.
	seen  *sight    // nil: nothing yet
	look  bool      // what stands there must be read before anything is set
	again time.Time // nothing is asked before
	setAt time.Time // nothing is set before

	// What of it is this lease's.
	asked  time.Time       // of the call under way
	sent   map[uint64]sent // the Sets whose outcome is unknown, by Turn
	known  uint64          // the last Turn that is known to have been done
	ripe   time.Time       // nothing is held before
	renew  time.Time       // when to renew
	until  time.Time       // when the lease runs out
	held   bool
	leave  bool // it is to be released, or given up before it is held
	lost   bool // it was held and is another's
	ended  bool
	before leaseValue // what stood there when it was taken
}

// sight is what a register was seen to hold; a revision of 0 is none.
type sight struct {
	revision    uint64
	data        []byte
	value       leaseValue
	first, last time.Time // of all looks that saw the same, without an outage between them
}

func (s *sight) mine(nonce string) bool {
	return s.revision != 0 && s.value.Nonce == nonce && !s.value.Released
}

// sent is a Set that was sent, and what it replaces.
type sent struct {
	at   time.Time
	from origin
}

type origin int

const (
	fromUnknown origin = iota // nothing, for all that is known
	fromOther
	fromMine
)

// doing is what a claim is to do next.
type doing int

const (
	doWait doing = iota // until step.until, or until something happens
	doGet
	doSet
	doEnd // nothing any more
)

type step struct {
	do       doing
	until    time.Time
	value    []byte
	revision uint64
}

func newClaim(owner, start, nonce string, alone bool) *claim {
	return &claim{me: leaseValue{Owner: owner, Start: start, Nonce: nonce}, alone: alone, sent: map[uint64]sent{}, ended: true}
}

// begin begins to wait for the lease, of one that has ended. What it has seen, it still knows.
func (c *claim) begin() {
	c.held, c.leave, c.lost, c.ended = false, false, false, false
	c.look, c.again, c.setAt, c.until = true, time.Time{}, time.Time{}, time.Time{}
}

// release gives up what is held, or waited for.
func (c *claim) release() {
	c.leave, c.until = true, time.Time{}
	c.again, c.setAt = time.Time{}, time.Time{}
}

// next says what to do now. Preferred says whether this member ranks highest for the log among those that could have it,
// without the process of that start: the one that had it and does not want it, or is not there.
func (c *claim) next(now time.Time, preferred func(without string) bool) step {
	if c.leave && (!c.mayBeMine() || now.Before(c.ripe)) {
		c.ended = true // what was not held cannot be given: it runs out
	}
	switch {
	case c.ended:
		return step{do: doEnd}
	case now.Before(c.again):
		return step{do: doWait, until: c.again}
	case c.look:
		return c.get(now)
	case c.leave:
		return c.setOrLook(now, c.setAt)
	case c.seen.mine(c.me.Nonce):
		return c.setOrLook(now, latest(c.renew, c.setAt))
	}
	return c.setOrLook(now, latest(c.due(preferred), c.setAt))
}

// mayBeMine says whether the register may hold, or come to hold, what others take for this lease's.
func (c *claim) mayBeMine() bool {
	if c.look {
		return c.held || len(c.sent) > 0 || c.seen != nil && c.seen.mine(c.me.Nonce)
	}
	return c.seen.mine(c.me.Nonce)
}

// due is when this member may set what is not its own.
func (c *claim) due(preferred func(without string) bool) time.Time {
	s := c.seen
	due := s.first
	if s.revision != 0 && !s.value.Released {
		due = due.Add(LeaseTTL)
	}
	if !(c.held || s.revision == 0 && c.alone || preferred(s.value.Start)) {
		due = due.Add(leaseYield)
	}
	return due
}

// setOrLook sets the register once it is due; until then it looks now and then whether it is still what it was. The
// owner need not: its Sets tell.
func (c *claim) setOrLook(now, due time.Time) step {
	mine := c.seen.mine(c.me.Nonce)
	poll := c.seen.last.Add(leasePoll)
	switch {
	case !mine && !now.Before(poll):
		return c.get(now)
	case !now.Before(due):
		return c.set(now)
	case mine:
		return step{do: doWait, until: due}
	}
	return step{do: doWait, until: earliest(due, poll)}
}

func (c *claim) get(now time.Time) step {
	c.asked = now
	return step{do: doGet}
}

func (c *claim) set(now time.Time) step {
	c.asked = now
	c.me.Turn++
	c.me.Released = c.leave
	if !c.seen.mine(c.me.Nonce) && !c.held {
		c.me.SinceMs, c.before = now.UnixMilli(), c.seen.value
	}
	c.remember(now)
	data, err := json.Marshal(c.me)
	if err != nil {
		panic(err) // strings and numbers
	}
	return step{do: doSet, value: data, revision: c.seen.revision}
}

// remember keeps what is known of the Set that now goes out. Once a release has gone out it may arrive at any time, and
// then others do not wait: so nothing that was sent before it makes this lease held again.
func (c *claim) remember(now time.Time) {
	if c.leave {
		clear(c.sent)
		return
	}
	for turn, s := range c.sent {
		if now.Sub(s.at) > LeaseTTL {
			delete(c.sent, turn) // it has run out
		}
	}
	from := fromOther
	switch {
	case c.seen.mine(c.me.Nonce):
		from = fromMine
	case c.seen.revision == 0 && !c.alone:
		from = fromUnknown
	}
	c.sent[c.me.Turn] = sent{now, from}
}

// looked takes in what a get found.
func (c *claim) looked(now time.Time, r Register, err error) {
	if err != nil && !errors.Is(err, ErrNoRegister) {
		c.again = c.asked.Add(leaseRetry)
		return
	}
	if err != nil {
		r = Register{}
	}
	c.look = false
	c.see(now, r.Revision, r.Value)
	switch {
	case c.seen.mine(c.me.Nonce):
		c.done(now, c.seen.value.Turn)
	case c.seen.revision != 0 && c.held && !c.leave:
		c.held, c.lost, c.ended = false, true, true
		c.until = time.Time{}
	}
}

// see remembers what the register holds, and since when.
func (c *claim) see(now time.Time, revision uint64, data []byte) {
	s := c.seen
	if s == nil || s.revision != revision || !bytes.Equal(s.data, data) {
		s = &sight{revision: revision, data: bytes.Clone(data), first: now}
		// Another's bytes may be anything: then it is somebody's whom nobody knows.
		if json.Unmarshal(data, &s.value) != nil {
			s.value = leaseValue{}
		}
		c.seen = s
	}
	if now.Sub(s.last) > outage {
		s.first = now
	}
	s.last = now
}

// wasSet takes in what came of the set that was last said.
func (c *claim) wasSet(now time.Time, revision uint64, err error) {
	if err != nil {
		c.look = true
		c.again, c.setAt = c.asked.Add(leaseRetry), c.asked.Add(leaseRetry)
		if errors.Is(err, ErrRevision) {
			delete(c.sent, c.me.Turn) // it was not done
			c.again = time.Time{}
		}
		return
	}
	data, _ := json.Marshal(c.me)
	c.see(now, revision, data)
	if c.me.Released {
		c.ended, c.held = true, false
		clear(c.sent)
		return
	}
	c.done(now, c.me.Turn)
	clear(c.sent)
}

// done takes in that the Set of that turn was done.
func (c *claim) done(now time.Time, turn uint64) {
	s, ok := c.sent[turn]
	if turn != c.known {
		c.known = turn
		switch s.from {
		case fromUnknown:
			c.ripe = now.Add(LeaseTTL)
		case fromOther:
			c.ripe = time.Time{}
		}
	}
	if !ok || c.leave {
		return
	}
	c.renew = s.at.Add(leaseRenew)
	if now.Before(c.ripe) {
		c.renew = earliest(c.renew, c.ripe)
		return
	}
	c.until = latest(c.until, s.at.Add(LeaseTTL))
	c.held = c.held || now.Before(c.until)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
