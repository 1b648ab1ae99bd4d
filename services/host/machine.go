package host

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

const (
	// logFormat and homeHash stand in LogOpened.
	logFormat = 1
	homeHash  = "fnv1a32"

	// unresolvedMs is how long an append whose outcome is unknown is pursued. (design §4 step 3)
	unresolvedMs = 30_000
	// retryMsMin and retryMsMax bound the delay of work that nobody asked for while a log is full.
	retryMsMin = 200
	retryMsMax = 30_000
	// cursorsAlone is how many upstream commits are read before a commit is written that holds cursors alone.
	cursorsAlone = 10_000
)

// phase is how far a host has come. Each begins where the one before ended; none is left backwards.
type phase int

const (
	standby    phase = iota // the log is folded as it grows; who should own it is not asked here
	claiming                // the log is folded; Owned is not accepted yet
	catchingUp              // reading upstream to the ends that it had when Owned was accepted
	retelling               // about to tell what the owner before may not have told
	serving                 // requests and timers are decided
	over                    // deposed, stopped or broken
)

func (p phase) String() string {
	return [...]string{"standby", "claiming", "catching up", "retelling", "serving", "over"}[p]
}

// Machine is a host as a state machine: no goroutines, no clock, and no I/O but its state store and its head. It is
// used by one goroutine. Boot makes one; its driver then goes round:
//
//	FoldNew, Fold               while it stands by: takes in what the owner writes
//	Claim                       once, when it may own its log
//	Submit, Deliver, Told       hand in what has arrived
//	Held                        hands in how long the lease holds, if there is one
//	Ends                        hands in the ends of the upstream logs, where WantsEnds asked for them
//	Step                        decides all of it, and returns the commit to append, or nil
//	Appended, Found             hand in the outcome; the result says what to do next
//	Retell                      once, when CaughtUp
//
// An error from any of them ends it: the partition stops, and what was asked is answered.
type Machine struct {
	cfg Config
	log id.Log

	phase phase
	now   int64 // the latest time it was told, never before the last commit's
	end   checkpoint
	fatal error

	requests []Request   // in order of arrival
	withheld []withheld  // those whose answers may not be given now, in order of that
	until    time.Time   // the time to which the lease was last known to hold
	inbox    []delivered // upstream commits that are not wholly reacted to, in causal order
	upstream []upstream
	stored   []cursor // of each upstream log, as the last own commit has them
	seen     []cursor // as they would stand in the next
	gulps    []*gulp
	unsaved  int // upstream commits that told the core something and were read since the last own commit

	claimAt    int64 // when to look again whether it may claim
	dueAt      int64 // when to call Due again
	askedUntil int64 // until then steps are kept short, for there were requests
	expires    int64 // when to look for outcomes to forget: not later than the first is due

	wantsCurrent bool     // the core has asked for a current step (current.go)
	ends         []uint64 // of each upstream log, read since; nil before

	pending *pending
	full    fullness
	effects effects
	retold  retold

	retellMax int                 // retellMax, or fewer in a test
	onTold    func(number uint64) // what a Notifier's done calls; nil: Told

	counters Counters
}

// Counters count what a Machine has done since it was made.
type Counters struct {
	Commits, Entries uint64 // appended by this owner
	Folded           uint64 // entries folded, its own included
	Quarantined      uint64
}

type upstream struct {
	log     id.Log
	tallied bool   // read by its tallies only
	last    uint64 // the last commit that was delivered
	goal    uint64 // its end when this owner began
}

// delivered is an upstream commit of which some entries are done.
type delivered struct {
	*eventstore.Commit
	done int
}

// pending is the commit under way.
type pending struct {
	sealed  eventstore.Sealed
	commit  *v1.Commit
	build   *build
	since   int64 // when it was first sent
	unknown bool  // an attempt had no clear outcome
}

// fullness is what a full log holds back.
type fullness struct {
	reason string // empty: it is not full
	delay  int64
	until  int64 // no reaction or timer is decided before
}

// newMachine makes a machine whose state is empty.
func newMachine(cfg Config) *Machine {
	m := &Machine{cfg: cfg, log: cfg.Log.Name(), expires: expiryNever, retellMax: retellMax}
	for _, u := range cfg.Upstream {
		name := u.Name()
		tallied := m.log.Service == v1.Service_SERVICE_ROLLOUT && name.Service == v1.Service_SERVICE_EXECUTION
		m.upstream = append(m.upstream, upstream{log: name, tallied: tallied})
	}
	m.stored = make([]cursor, len(m.upstream))
	m.seen = make([]cursor, len(m.upstream))
	return m
}

// load takes over the host's rows of the state store.
func (m *Machine) load() error {
	if row, ok := m.cfg.State.Get(checkpointKey()); ok {
		c, err := parseCheckpoint(row)
		if err != nil {
			return err
		}
		m.end, m.now = c, c.AtMs
		m.expires = 0 // look at the first commit
		if err := m.checkHomes(); err != nil {
			return err
		}
	}
	for i, u := range m.upstream {
		if row, ok := m.cfg.State.Get(cursorKey(u.log)); ok {
			c, err := parseCursor(row)
			if err != nil {
				return err
			}
			m.stored[i] = c
		}
	}
	copy(m.seen, m.stored)
	m.effects.done = m.end.EffectsDone
	return nil
}

// Log is the log that the machine writes.
func (m *Machine) Log() id.Log { return m.log }

// End is the last commit that is folded.
func (m *Machine) End() eventstore.Mark { return m.end.Mark }

// Epoch is that commit's epoch: the machine's own once it owns the log.
func (m *Machine) Epoch() uint64 { return m.end.Epoch }

// Owns says that Owned was accepted.
func (m *Machine) Owns() bool { return m.phase > claiming && m.phase < over }

// Serving says that requests are decided.
func (m *Machine) Serving() bool { return m.phase == serving }

// State is the phase in words.
func (m *Machine) State() string { return m.phase.String() }

// Waits says what the machine waits for that an operator should know; empty if nothing.
func (m *Machine) Waits() string {
	switch {
	case m.pending != nil && m.pending.unknown:
		return fmt.Sprintf("%s: commit %d was sent and not answered", m.log, m.pending.sealed.Number)
	case m.full.reason != "":
		return m.full.reason
	case m.phase != serving:
		return fmt.Sprintf("%s: %s", m.log, m.phase)
	}
	return ""
}

// Counters are what it has done.
func (m *Machine) Counters() Counters { return m.counters }

// Waiting is how many requests are not answered; Behind how many upstream commits are not reacted to.
func (m *Machine) Waiting() int { return len(m.requests) + len(m.withheld) }
func (m *Machine) Behind() int  { return len(m.inbox) }

// Claim lets a machine that stands by own its log: the next Step makes the commit that says so.
func (m *Machine) Claim() {
	if m.phase == standby {
		m.phase = claiming
	}
}

// Submit hands in a request.
func (m *Machine) Submit(r Request) {
	if m.phase == over {
		m.turnAway(r, m.gone())
		return
	}
	m.requests = append(m.requests, r)
}

// gone refuses what a machine that has ended will not decide.
func (m *Machine) gone() *v1.Refusal {
	if errors.Is(m.fatal, ErrDeposed) {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "%s has another owner; ask again", m.log)
	}
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "%s has stopped; ask again", m.log)
}

func (m *Machine) upstreamIndex(log id.Log) int {
	i := slices.IndexFunc(m.upstream, func(u upstream) bool { return u.log == log })
	if i < 0 {
		panic(fmt.Sprintf("%s does not read %s", m.log, log))
	}
	return i
}

// Goal sets how far an upstream log must be read before the machine serves: its end, asked for after Owned was
// accepted. (design §7: a home reads log.rollout to its end before it decides anything)
func (m *Machine) Goal(log id.Log, last uint64) { m.upstream[m.upstreamIndex(log)].goal = last }

// Deliver hands in the next commit of an upstream log: verified, and after everything that its cursors name.
func (m *Machine) Deliver(nowMs int64, c *eventstore.Commit) error {
	m.tick(nowMs)
	if m.phase == over {
		return m.fatal
	}
	i := m.upstreamIndex(c.Log)
	u := &m.upstream[i]
	if at := m.seen[i]; c.Number <= u.last || c.Number < at.number || c.Number == at.number && at.entries == 0 {
		panic(fmt.Sprintf("%s: commit %s was delivered again", m.log, position(c.Log, c.Number)))
	}
	for k, e := range c.Entries {
		if e.GetEvent().GetEvent() == nil {
			return m.stop(fmt.Errorf("log %s commit %d entry %d holds an event that this version does not know: upgrade drover", c.Log, c.Number, k))
		}
	}
	u.last = c.Number
	if u.tallied {
		m.gulpTallies(i, cursor{number: c.Number, hash: c.Hash.Prefix()}, c)
		return nil
	}
	d := delivered{Commit: c}
	if at := m.seen[i]; at.number == c.Number {
		d.done = int(at.entries)
	}
	m.inbox = append(m.inbox, d)
	return nil
}

// CaughtUp says that upstream was read to the goals; the driver calls Retell then.
func (m *Machine) CaughtUp() bool { return m.phase == retelling }

func (m *Machine) reachedGoals() bool {
	for i, u := range m.upstream {
		if c := m.seen[i]; c.number < u.goal || c.number == u.goal && c.entries > 0 {
			return false
		}
	}
	return true
}

// Next is when Step has something to do although nothing arrives, in ms since the epoch; core.Never if nothing has.
func (m *Machine) Next() int64 {
	if m.phase == claiming {
		return max(m.full.until, m.claimAt)
	}
	if m.phase == serving && len(m.requests) > 0 {
		return 0
	}
	if m.phase != serving && m.phase != catchingUp {
		return core.Never
	}
	next := int64(core.Never)
	if len(m.inbox) > 0 {
		next = 0
	}
	if len(m.gulps) > 0 {
		next = min(next, m.gulps[0].next())
	}
	if m.phase == serving {
		next = min(next, m.dueAt)
	}
	if m.phase == catchingUp && (len(m.gulps) > 0 || m.reachedGoals()) || m.mayBeCurrent() {
		next = 0
	}
	if next < m.full.until {
		next = m.full.until
	}
	return min(next, m.nextWord())
}

func (m *Machine) tick(nowMs int64) { m.now = max(m.now, nowMs, m.end.AtMs) }

// stop ends the machine: every request is answered, and nothing is decided from here on.
func (m *Machine) stop(err error) error {
	if m.phase == over {
		return m.fatal
	}
	m.phase, m.fatal = over, err
	if p := m.pending; p != nil {
		m.pending = nil
		m.requests = m.requests[p.build.requests:]
		refusal := m.gone()
		if p.unknown && !errors.Is(err, ErrDeposed) {
			refusal = v1.Refuse(v1.RefusalCode_REFUSAL_CODE_OUTCOME_UNKNOWN, "", "%s: commit %d was sent and not answered; read before asking again", m.log, p.sealed.Number)
		}
		p.build.refuse(refusal)
	}
	m.turnAllAway(m.gone())
	m.inbox, m.gulps = nil, nil
	return err
}

// recovered makes an error of what a call into the state store or the core panicked with.
func (m *Machine) recovered(what string, p any) error {
	if err, ok := p.(error); ok {
		return fmt.Errorf("%s: %s: %w", m.log, what, err)
	}
	return fmt.Errorf("%s: %s: panic: %v", m.log, what, p)
}

// Fold takes in a commit of the machine's own log: at start, while it stands by, and what another owner wrote while
// this one claims.
func (m *Machine) Fold(c *eventstore.Commit) (err error) {
	if m.phase > claiming {
		panic(fmt.Sprintf("%s: fold of commit %d while %s", m.log, c.Number, m.phase))
	}
	defer func() {
		if p := recover(); p != nil {
			err = m.recovered(fmt.Sprintf("fold commit %d", c.Number), p)
		}
		if err != nil {
			m.stop(err)
		}
	}()
	tx := kv.NewOverlay(m.cfg.State)
	for i, e := range c.Entries {
		at := core.Place{Number: c.Number, Entry: i, AtMs: c.AtMs}
		switch {
		case e.GetEvent().GetEvent() == nil:
			return core.Unreadable(at, e.Event)
		case hosts(e.Event):
			if err := m.checkOpened(e.Event.GetLogOpened()); err != nil {
				return err
			}
		default:
			m.cfg.Core.Evolve(tx, at, e.Event)
		}
		if cmd := e.GetCommand(); cmd.GetType() != "" {
			foldCommand(tx, cmd, c.AtMs)
			m.expires = min(m.expires, c.AtMs+commandsMs)
		}
	}
	return m.take(tx, c.Commit, c.Hash)
}

// hosts tells the events that hosts write themselves from those of cores.
func hosts(e *v1.Event) bool {
	switch e.Event.(type) {
	case *v1.Event_LogOpened, *v1.Event_Owned, *v1.Event_InputQuarantined, *v1.Event_ForeignNamed:
		return true
	}
	return false
}

// checkOpened compares the first entry of a log with what this host was told.
func (m *Machine) checkOpened(o *v1.LogOpened) error {
	switch {
	case o == nil:
		return nil
	case o.Format != logFormat || o.HomeHash != homeHash:
		return fmt.Errorf("log %s has format %d with homes by %q; this version reads format %d with %q", m.log, o.Format, o.HomeHash, logFormat, homeHash)
	case o.Service != m.log.Service || id.Home(o.Home) != m.log.Home:
		return fmt.Errorf("the log given as %s was opened as %s", m.log, id.Log{Service: o.Service, Home: id.Home(o.Home)})
	}
	m.end.Homes = o.Homes
	return m.checkHomes()
}

// checkHomes: a thing's home follows from their number, so it never changes.
func (m *Machine) checkHomes() error {
	if m.end.Homes != 0 && m.end.Homes != m.cfg.Homes {
		return fmt.Errorf("log %s was opened with %d homes, this host was started with %d: the number holds for the life of the system", m.log, m.end.Homes, m.cfg.Homes)
	}
	return nil
}

// take makes a commit part of the state: rows and checkpoint in one batch. It is the end of Fold and of an append.
//
// A crash before it leaves the state behind the log; the next start folds the rest.
func (m *Machine) take(tx *kv.Overlay, c *v1.Commit, hash eventstore.Hash) error {
	foldCursors(tx, c.Cursors)
	if c.AtMs >= m.expires {
		m.expires = expireCommands(tx, c)
	}
	end := checkpoint{
		Mark: eventstore.Mark{Number: c.Number, Hash: hash},
		AtMs: c.AtMs, Epoch: c.Epoch, EffectsDone: c.EffectsDone, Homes: m.end.Homes,
	}
	copy(end.LogID[:], c.LogId)
	batch := m.cfg.State.NewBatch()
	tx.WriteTo(batch)
	batch.Set(checkpointKey(), end.append(nil))
	if err := batch.Commit(); err != nil {
		return fmt.Errorf("%s: state of commit %d: %w", m.log, c.Number, err)
	}
	m.end = end
	m.now = max(m.now, end.AtMs)
	for _, c := range c.Cursors {
		if i := slices.IndexFunc(m.upstream, func(u upstream) bool { return u.log.Service == c.GetService() && u.log.Home == id.Home(c.GetHome()) }); i >= 0 {
			m.stored[i] = cursor{c.Number, c.EntriesDone, c.Hash}
		}
	}
	if m.phase <= claiming {
		copy(m.seen, m.stored)
		m.effects.done = max(m.effects.done, end.EffectsDone)
	}
	m.counters.Folded += uint64(len(c.Entries))
	return nil
}
