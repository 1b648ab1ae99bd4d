package host

import (
	"errors"
	"fmt"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// Next is what the driver does about the commit that Step returned.
type Next int

const (
	Go     Next = iota // nothing: its outcome is settled
	Append             // hand the same bytes to the log (again), then call Appended
	Look               // read the commit of that number, then call Found
)

// Step decides all that has arrived and has come due by now, and returns the commit to append: the driver appends it,
// calls Appended, and not Step before that is settled. It returns nil if there is nothing to write; then everything
// that was decided is answered. A host that claims its log writes nothing while it has no lease.
func (m *Machine) Step(nowMs int64) (*eventstore.Sealed, error) {
	if m.pending != nil {
		panic(fmt.Sprintf("%s: step while commit %d is under way", m.log, m.pending.sealed.Number))
	}
	m.tick(nowMs)
	if m.phase == over {
		return nil, m.fatal
	}
	m.reconsider()
	b := m.begin()
	var err error
	switch m.phase {
	case claiming:
		// Asked after the last fold: a host that folded what the next owner has written, and claimed behind it without
		// the lease, would depose it unnoticed, and leave it answering from a state that is not the log's.
		if !m.maySpeak() {
			m.claimAt = m.now + silentMs
			return nil, nil
		}
		b.claim()
	case catchingUp, serving:
		err = b.gather()
	}
	if err == nil && len(b.entries) == 0 {
		m.settle(b)
		b.answerAll()
		if m.phase == catchingUp && m.reachedGoals() && len(m.inbox) == 0 {
			m.phase = retelling
		}
		if m.unsaved < cursorsAlone {
			return nil, nil
		}
		b = m.begin()
	}
	if err == nil {
		err = m.seal(b)
	}
	if err != nil {
		m.requests = m.requests[b.requests:]
		b.refuse(m.gone())
		return nil, m.stop(err)
	}
	return &m.pending.sealed, nil
}

// gather decides: requests first, then what upstream brought, then what has come due. Each leaves room for one call
// of those behind it, so that none starves.
func (b *build) gather() error {
	m := b.m
	held := m.now < m.full.until // the log is full: only what was asked for is tried
	gulp := len(m.gulps) > 0
	room := func(waits bool) int {
		if waits {
			return room
		}
		return 0
	}
	due := m.phase == serving && (m.now >= m.dueAt || m.ends != nil)
	if m.phase == serving {
		if err := b.takeRequests(commitMax - room(len(m.inbox) > 0) - room(due) - room(gulp)); err != nil {
			return err
		}
		if b.requests > 0 {
			m.askedUntil = m.now + askedMs
		}
	}
	// Who asks waits for the step under way and then for his own: they are kept short while anybody does.
	share := func(limit int) int {
		if m.now < m.askedUntil {
			return min(limit, b.bytes+askedMax)
		}
		return min(limit, b.bytes+bulkMax)
	}
	if held {
		b.dueAt = m.now
		return nil
	}
	if err := b.takeUpstream(share(commitMax - room(true) - room(due) - room(gulp))); err != nil {
		return err
	}
	if gulp && (len(b.entries) > 0 || m.gulps[0].due(m.now) || m.phase == catchingUp || m.ends != nil) {
		if err := b.observe(); err != nil {
			return err
		}
	}
	if m.phase == serving && (due || len(b.entries) > 0) {
		if err := b.takeDue(share(commitMax - room(true) - room(gulp && b.gulps == 0))); err != nil {
			return err
		}
	}
	if gulp && b.gulps == 0 && len(b.entries) > 0 {
		if err := b.observe(); err != nil {
			return err
		}
		b.dueAt = m.now
	}
	return nil
}

// claim makes the first commit of a new owner.
func (b *build) claim() {
	m := b.m
	cause := &v1.Entry{Cause: &v1.Entry_Command{Command: &v1.CommandCause{By: m.cfg.Owner}}}
	var events []*v1.Entry
	if m.end.Number == 0 {
		events = append(events, &v1.Entry{Event: &v1.Event{Event: &v1.Event_LogOpened{LogOpened: &v1.LogOpened{
			Service: m.log.Service, Home: uint32(m.log.Home), Format: logFormat, Homes: m.cfg.Homes, HomeHash: homeHash,
		}}}})
		m.end.Homes = m.cfg.Homes
	}
	events = append(events, &v1.Entry{Event: &v1.Event{Event: &v1.Event_Owned{Owned: &v1.Owned{Owner: m.cfg.Owner, Epoch: m.end.Epoch + 1}}}})
	b.add(cause, events, 0)
}

// seal makes a commit of a build.
func (m *Machine) seal(b *build) error {
	c := &v1.Commit{
		LogId: m.end.LogID[:], Number: b.number, PreviousHash: m.end.Hash[:],
		Owner: m.cfg.Owner, Epoch: m.end.Epoch, AtMs: b.now,
		EffectsDone: m.effects.done, ReaderVersion: eventstore.ReaderVersion, Entries: b.entries,
	}
	if b.number == 1 {
		c.LogId, c.PreviousHash = m.cfg.LogID, nil
	}
	if m.phase == claiming {
		c.Epoch++
	}
	for i, u := range m.upstream {
		if s := b.seen[i]; s != m.stored[i] {
			c.Cursors = append(c.Cursors, &v1.Cursor{Service: u.log.Service, Home: uint32(u.log.Home), Number: s.number, EntriesDone: s.entries, Hash: s.hash})
		}
	}
	if m.cfg.Tally != nil {
		c.Tallies = m.cfg.Tally(b.entries)
	}
	sealed, err := eventstore.Seal(c)
	if err != nil {
		return fmt.Errorf("%s: seal commit %d: %w", m.log, b.number, err)
	}
	if len(sealed.Data) > sealedMax {
		// A broker refuses it without an answer of its own, and its append would never be resolved.
		return fmt.Errorf("%s: commit %d has %d bytes, with %d entries; a broker takes no message above %d", m.log, b.number, len(sealed.Data), len(b.entries), sealedMax)
	}
	m.pending = &pending{sealed: sealed, commit: c, build: b, since: b.now}
	return nil
}

// settle takes over what a build consumed.
func (m *Machine) settle(b *build) {
	m.requests = m.requests[b.requests:]
	if len(m.requests) == 0 {
		m.requests = nil
	}
	clear(m.inbox[:b.taken])
	if m.inbox = m.inbox[b.taken:]; len(m.inbox) > 0 {
		m.inbox[0].done = b.part
	}
	m.unsaved += b.unsaved
	m.seen = b.seen
	m.gulps = m.gulps[b.gulps:]
	m.dueAt = b.dueAt
	if b.usedEnds {
		m.ends, m.wantsCurrent = nil, false
	}
	m.wantsCurrent = m.wantsCurrent || b.wantsCurrent
}

// Appended hands in what Append of the pending commit said.
func (m *Machine) Appended(nowMs int64, err error) (Next, error) {
	m.tick(nowMs)
	p := m.pending
	switch {
	case err == nil:
		return Go, m.success()
	case errors.Is(err, eventstore.ErrFull) && !p.unknown:
		m.refusedFull()
		return Go, nil
	case !errors.Is(err, eventstore.ErrConflict):
		// It may come to be stored yet. Nothing else is decided until that is known. (design §4 step 3)
		p.unknown = true
	}
	return Look, nil
}

// Found hands in what was read at the number of the pending commit.
func (m *Machine) Found(nowMs int64, c *eventstore.Commit, err error) (Next, error) {
	m.tick(nowMs)
	p := m.pending
	var foreign *eventstore.ForeignError
	var damage *eventstore.DamageError
	switch {
	case err == nil && c.Hash == p.sealed.Hash:
		return Go, m.success()
	case err == nil:
		return Go, m.lost(c)
	case errors.As(err, &foreign), errors.As(err, &damage):
		return Go, m.stop(err)
	case m.now >= p.since+unresolvedMs:
		p.unknown = true
		return Go, m.stop(fmt.Errorf("%s: commit %d: %w", m.log, p.sealed.Number, ErrUnresolved))
	case errors.Is(err, eventstore.ErrNotFound):
		return Append, nil
	}
	return Look, nil
}

// lost takes in that another commit stands at the number of the pending one, which therefore never will: fold what
// stands there, claim again, or step down.
func (m *Machine) lost(c *eventstore.Commit) error {
	p := m.pending
	if string(c.PreviousHash) != string(p.commit.PreviousHash) || m.end.Number > 0 && string(c.LogId) != string(m.end.LogID[:]) {
		return m.stop(&eventstore.DamageError{Log: m.log, First: c.Number, Last: c.Number, Why: "it does not follow from the commit before it that this owner knows"})
	}
	if m.phase == claiming {
		m.pending = nil
		if m.end.Number == 0 {
			m.end.Homes = 0
		}
		return m.Fold(c)
	}
	return m.stop(fmt.Errorf("%s: commit %d is by %s, epoch %d: %w", m.log, c.Number, c.Owner, c.Epoch, ErrDeposed))
}

// success folds the pending commit, answers, and tells.
func (m *Machine) success() (err error) {
	p, b := m.pending, m.pending.build
	m.pending = nil
	m.settle(b)
	defer func() {
		if r := recover(); r != nil {
			err = m.recovered(fmt.Sprintf("commit %d", p.sealed.Number), r)
		}
		if err != nil {
			// The log has what was decided, whatever has failed since: so it is answered.
			b.answerAll()
			err = m.stop(err)
		}
	}()
	// The commit is durable. A crash from here to the end of take leaves the state behind the log (folded at start);
	// one after it, before the answers, leaves decided requests without an answer (their repeat is recognised).
	if err := m.take(b.tx, p.commit, p.sealed.Hash); err != nil {
		return err
	}
	m.counters.Commits++
	m.counters.Entries += uint64(len(p.commit.Entries))
	m.effects.worth = false
	m.full = fullness{}
	m.unsaved = 0
	if m.phase == claiming {
		m.phase = catchingUp
	}
	if err := m.setHead(); err != nil {
		return err
	}
	b.answerAll()
	if m.phase != serving || m.cfg.Notifier == nil {
		return nil
	}
	n, err := m.notifications(placed(nil, p.commit))
	if err != nil {
		return err
	}
	m.tell(p.sealed.Number, n)
	return nil
}

// refusedFull takes the pending commit back: there is no room for it. What was asked is refused; what upstream
// brought and what has come due waits, and longer each time.
func (m *Machine) refusedFull() {
	b := m.pending.build
	m.pending = nil
	if m.full.reason == "" {
		m.cfg.Logger.Error("the log is full: nothing is decided until there is room", "commit", b.number)
	}
	m.full.reason = fmt.Sprintf("log %s is full: free disk space of the broker, or raise the log's max_bytes", m.log)
	m.full.delay = min(max(2*m.full.delay, retryMsMin), retryMsMax)
	m.full.until = m.now + m.full.delay
	m.requests = m.requests[b.requests:]
	refusal := v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "%s; nothing was decided, ask again", m.full.reason)
	for i := range b.answers {
		b.answers[i] = answer{request: b.answers[i].request, err: refusal}
	}
	b.answerAll()
}

// Stop makes the last commit of an owner that ends gracefully: cursors and effects_done, if they moved over anything
// worth keeping. Requests that wait are refused. The machine takes nothing in afterwards but the outcome of that
// commit.
func (m *Machine) Stop(nowMs int64) (*eventstore.Sealed, error) {
	m.tick(nowMs)
	m.turnAllAway(v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "%s is stopping; ask again", m.log))
	if m.phase != serving && m.phase != catchingUp || m.unsaved == 0 && !m.effects.worth {
		return nil, nil
	}
	b := m.begin()
	if len(m.gulps) > 0 {
		if err := b.observe(); err != nil {
			return nil, m.stop(err)
		}
	}
	if err := m.seal(b); err != nil {
		return nil, m.stop(err)
	}
	return &m.pending.sealed, nil
}

// position of a commit, for messages.
func position(l id.Log, number uint64) string { return id.FormatPosition(l.Position(number, 0)) }
