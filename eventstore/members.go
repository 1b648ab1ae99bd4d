package eventstore

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/droverhq/drover/proto/id"
)

// listTimeout bounds a look at all members, which asks for each.
const listTimeout = time.Second

// Description is what a member says of itself. It is published as JSON.
type Description struct {
	Roles     []string  `json:"roles,omitempty"`
	Version   string    `json:"version,omitempty"`
	StartedAt time.Time `json:"started_at"`
	// Logs are the logs that it hosts, as owner or standby, by name (id.Log.String).
	Logs       map[string]Hosted `json:"logs,omitempty"`
	WaitingFor []string          `json:"waiting_for,omitempty"`
}

// Hosted is what a member says of a log that it hosts.
type Hosted struct {
	// State is "standby", "claiming", "catching up", "retelling", "serving", "stopping" or "over".
	State string `json:"state"`
	// Folded is the last commit that it has folded. Behind is how many upstream commits it has read and not taken in, of a
	// standby how many of the log's own it has yet to fold.
	Folded uint64 `json:"folded"`
	Behind uint64 `json:"behind"`
}

// The states of a host that decide who comes first for its log. In any other it could own the log, or does.
const (
	StateStandby  = "standby"  // it folds, and could take over once it is not far behind
	StateStopping = "stopping" // it could not
	StateOver     = "over"     // nor here
)

// Member is a process that is alive.
type Member struct {
	Name string
	// Start is drawn by each process when it starts: two of one name are two processes.
	Start string
	Description
	Seen time.Duration // how long ago its register was seen to change
}

// NameTakenError says that another process that is alive uses this member's name.
type NameTakenError struct {
	Name  string
	Other Member
}

func (e *NameTakenError) Error() string {
	return fmt.Sprintf("another process that is alive has the name %s too (started %s): give each its own (--name)", e.Name, e.Other.StartedAt.Format(time.RFC3339))
}

// MembersConfig says who this member is.
type MembersConfig struct {
	Registers Registers
	// Name is register tokens (CheckRegister), unique among the processes that are alive.
	Name string
	// Describe is asked for each publication, every 500 ms: it must not block.
	Describe func() Description
	Logger   *slog.Logger // default: slog.Default()
}

// Members is this process as one of those that could own logs, and its view of the others: who is alive is judged by
// this process's own clock, from when it saw each one's register change. It is safe for concurrent use.
type Members struct {
	cfg      MembersConfig
	register string
	joined   chan struct{}

	mu        sync.Mutex // guards what follows
	roster    *roster
	published bool
}

// NewMembers makes a member that nobody sees and that sees nobody, until Run. It fails on a name that cannot name a
// register.
func NewMembers(cfg MembersConfig) (*Members, error) {
	if err := CheckRegister(cfg.Name); err != nil {
		return nil, fmt.Errorf("member: %w", err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Members{
		cfg: cfg, register: memberPrefix + "." + cfg.Name, joined: make(chan struct{}),
		roster: newRoster(cfg.Name, rand.Text()),
	}, nil
}

// Run publishes this member and follows the others until ctx ends, and takes it off the list at once then. It returns
// nil, or *NameTakenError as soon as another live process is seen under this name. It is called once.
//
// A crash leaves the member listed until its register has not changed for LeaseTTL.
func (m *Members) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	following := make(chan struct{})
	m.describe()
	go func() {
		defer close(following)
		m.follow(ctx)
	}()
	defer func() { cancel(); <-following }()
	return m.publish(ctx)
}

// publish renews this member's register.
func (m *Members) publish(ctx context.Context) error {
	p := newPresence(m.start())
	for ctx.Err() == nil {
		switch s := p.next(time.Now()); s.do {
		case doEnd:
			return m.nameTaken(p.by)
		case doWait:
			pause(ctx, time.Until(s.until))
		case doGet:
			p.looked(m.get(ctx))
		case doSet:
			data, err := json.Marshal(memberValue{m.start(), m.describe()})
			if err != nil {
				return fmt.Errorf("member %s describes itself by what cannot be written: %w", m.cfg.Name, err)
			}
			p.wasSet(m.set(ctx, data, s.revision))
			m.join(p.joined)
		}
	}
	m.depart(ctx)
	return nil
}

func (m *Members) get(ctx context.Context) (time.Time, Register, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := m.cfg.Registers.Get(ctx, m.register)
	return time.Now(), r, err
}

func (m *Members) set(ctx context.Context, data []byte, revision uint64) (time.Time, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	set, err := m.cfg.Registers.Set(ctx, m.register, data, revision)
	return time.Now(), set, err
}

// join says that this member has joined, once it is published and the others are known too.
func (m *Members) join(published bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.published = m.published || published
	if !m.published || m.roster.last.IsZero() {
		return
	}
	select {
	case <-m.joined:
	default:
		close(m.joined)
	}
}

// depart takes this member off the list. What fails runs out.
func (m *Members) depart(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	r, err := m.cfg.Registers.Get(ctx, m.register) // the last Set may not have been answered
	var v memberValue
	if err == nil && json.Unmarshal(r.Value, &v) == nil && v.Start == m.start() {
		err = m.cfg.Registers.Delete(ctx, m.register, r.Revision)
	}
	if err != nil && !errors.Is(err, ErrNoRegister) {
		m.cfg.Logger.Warn("the member could not be taken off the list; it runs out", "member", m.cfg.Name, "error", err)
	}
}

func (m *Members) nameTaken(by memberValue) error {
	return &NameTakenError{m.cfg.Name, Member{Name: m.cfg.Name, Start: by.Start, Description: by.Description}}
}

// follow lists all members now and then.
func (m *Members) follow(ctx context.Context) {
	tick := time.NewTicker(memberEvery)
	defer tick.Stop()
	for known := map[string]string{}; ; {
		if m.list(ctx) == nil {
			m.join(false)
			m.tell(known)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (m *Members) list(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	all, err := m.cfg.Registers.List(ctx, memberPrefix)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.roster.listed(time.Now(), all)
	return nil
}

// tell logs who came and who went since it was asked last.
func (m *Members) tell(known map[string]string) {
	now := map[string]string{}
	for _, other := range m.Live() {
		now[other.Name] = other.Start
		if known[other.Name] != other.Start && other.Name != m.cfg.Name {
			m.cfg.Logger.Info("a member is there", "member", other.Name)
		}
	}
	for name := range known {
		if now[name] == "" {
			m.cfg.Logger.Info("a member is gone", "member", name)
		}
	}
	clear(known)
	maps.Copy(known, now)
}

// describe asks what to say of this member.
func (m *Members) describe() Description {
	d := m.cfg.Describe()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.roster.describe(time.Now(), d)
	return d
}

func (m *Members) start() string { return m.roster.self.Start }

// Name is this member's.
func (m *Members) Name() string { return m.cfg.Name }

// Joined is closed once this member is published and the others have been listed: from then on Preferred is right.
func (m *Members) Joined() <-chan struct{} { return m.joined }

// Live lists the members that are alive, this one included, by name.
func (m *Members) Live() []Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.roster.live(time.Now())
}

// Preferred is the live member that should own a log: of those that host it and could own it now, the one that ranks
// highest (Rank). Empty if there is none, or before Joined.
func (m *Members) Preferred(log id.Log) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.roster.preferred(time.Now(), log, "", false)
}

// prefers says whether this member, which hosts the log, comes first for it, without the process of that start.
func (m *Members) prefers(log id.Log, without string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.roster.preferred(time.Now(), log, without, true) == m.cfg.Name
}

// took notes that this member has the log from now on.
func (m *Members) took(log id.Log) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.roster.took[log] = time.Now()
}

// HandOver says whether this member, the log's owner, should now give it up for the preferred one: another, that has
// been alive and a caught-up standby for 10 s. It says so at most once in 5 s whatever the log, and not within 10 s of
// this member's having taken the log. True counts as done.
func (m *Members) HandOver(log id.Log) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.roster.handOver(time.Now(), log)
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
