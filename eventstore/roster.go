package eventstore

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/proto/id"
)

const (
	// memberEvery is between two publications of a member, and between two looks at the others.
	memberEvery = 500 * time.Millisecond
	// memberWatch is between two looks at another process under the own name.
	memberWatch = 200 * time.Millisecond

	// handOverReady is how long the preferred member must have been a caught-up standby before it is handed a log.
	handOverReady = 10 * time.Second
	// handOverKeep is how long a log is kept once it was taken.
	handOverKeep = 10 * time.Second
	// handOverEvery is between two hand-overs of one process.
	handOverEvery = 5 * time.Second
	// handOverLag: a standby is caught up if it has folded what the owner had folded so long ago, which is more than it
	// takes to be told of both.
	handOverLag = 2 * time.Second
	// ableBehind is how many commits a standby may be behind and still come first for a log.
	ableBehind = 1000
)

// Rank is how a member ranks for a log; the highest is preferred. It is rendezvous hashing: the first 8 bytes, big
// endian, of SHA-256 over the member's name, a zero byte, and the log's name (id.Log.String). So each member's coming or
// going moves the logs that it ranks highest for, and no others. Equal ranks are ordered by name.
func Rank(member string, log id.Log) uint64 {
	sum := sha256.Sum256([]byte(member + "\x00" + log.String()))
	return binary.BigEndian.Uint64(sum[:8])
}

// memberPrefix begins the names of the registers of members: member.<name>.
const memberPrefix = "member"

// memberValue is what a member's register holds, as JSON.
type memberValue struct {
	Start string `json:"start"`
	Description
}

// roster is what a member knows of all, itself included, without goroutines, clock and registers.
type roster struct {
	self  Member
	peers map[string]*peer // all but self, by name
	last  time.Time        // the last look; zero: none yet

	took     map[id.Log]time.Time // when this member took a log
	handed   time.Time            // when it gave one up last
	standby  map[id.Log]standby   // who could be handed a log
	progress []progress           // what this member said of itself, oldest first
}

type peer struct {
	Member
	revision uint64
	data     []byte
	seen     time.Time // when the register was first seen with that revision
}

// standby is a member that is preferred for a log of ours, and has been a caught-up standby of it since.
type standby struct {
	start string
	since time.Time
}

type progress struct {
	at   time.Time
	logs map[string]Hosted
}

func newRoster(name, start string) *roster {
	return &roster{
		self: Member{Name: name, Start: start}, peers: map[string]*peer{},
		took: map[id.Log]time.Time{}, standby: map[id.Log]standby{},
	}
}

// describe takes in what this member says of itself now.
func (r *roster) describe(now time.Time, d Description) {
	r.self.Description = d
	r.progress = append(r.progress, progress{now, d.Logs})
	for len(r.progress) > 1 && now.Sub(r.progress[1].at) >= handOverLag {
		r.progress = r.progress[1:]
	}
}

// listed takes in the registers of all members.
func (r *roster) listed(now time.Time, all map[string]Register) {
	away := r.last.IsZero() || now.Sub(r.last) > outage
	r.last = now
	maps.DeleteFunc(r.peers, func(name string, _ *peer) bool {
		_, ok := all[memberPrefix+"."+name]
		return !ok
	})
	for register, reg := range all {
		name := strings.TrimPrefix(register, memberPrefix+".")
		if name == r.self.Name {
			continue
		}
		p := r.peers[name]
		switch {
		case p == nil || p.revision != reg.Revision || !bytes.Equal(p.data, reg.Value):
			r.peers[name] = newPeer(now, name, reg)
		case away: // it may not have reached the registers either
			p.seen = now
		}
	}
	r.watch(now)
}

func newPeer(now time.Time, name string, reg Register) *peer {
	var v memberValue
	_ = json.Unmarshal(reg.Value, &v) // what is no member's hosts nothing
	return &peer{
		Member:   Member{Name: name, Start: v.Start, Description: v.Description},
		revision: reg.Revision, data: bytes.Clone(reg.Value), seen: now,
	}
}

// live lists those that are alive, by name. While nobody can be looked at, nobody dies.
func (r *roster) live(now time.Time) []Member {
	if now.Sub(r.last) > outage {
		now = r.last
	}
	all := []Member{r.self}
	for _, p := range r.peers {
		if age := now.Sub(p.seen); age < LeaseTTL {
			p.Seen = age
			all = append(all, p.Member)
		}
	}
	slices.SortFunc(all, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// preferred is who should own a log, but not the process of that start if there is another. Self says that this member
// hosts the log, whatever it said last. Empty before the first look.
func (r *roster) preferred(now time.Time, log id.Log, without string, self bool) string {
	if r.last.IsZero() {
		return ""
	}
	hosts := r.live(now)
	hosts = slices.DeleteFunc(hosts, func(m Member) bool {
		_, ok := m.Logs[log.String()]
		return !ok && !(self && m.Start == r.self.Start)
	})
	for _, keep := range []func(Member) bool{
		func(m Member) bool { return m.Start != without && m.able(log) },
		func(m Member) bool { return m.Start != without },
		func(Member) bool { return true },
	} {
		if name := topRanked(hosts, log, keep); name != "" {
			return name
		}
	}
	return ""
}

func topRanked(all []Member, log id.Log, keep func(Member) bool) (name string) {
	var top uint64
	for _, m := range all { // by name: of equal ranks the first is kept
		if rank := Rank(m.Name, log); keep(m) && (name == "" || rank > top) {
			name, top = m.Name, rank
		}
	}
	return name
}

// able says whether a member could own a log now: not one that stops, nor one that has yet to fold most of it.
func (m *Member) able(log id.Log) bool {
	switch h := m.Logs[log.String()]; h.State {
	case StateStandby:
		return h.Behind <= ableBehind
	case "", StateStopping, StateOver:
		return false
	}
	return true
}

// watch notes since when the preferred member of each log of ours could be handed it.
func (r *roster) watch(now time.Time) {
	for name, own := range r.self.Logs {
		log, err := id.ParseLog(name)
		if err != nil {
			continue
		}
		p := r.peers[r.preferred(now, log, "", false)]
		if p == nil || !r.caughtUp(p, name, own) {
			delete(r.standby, log)
			continue
		}
		if r.standby[log].start != p.Start {
			r.standby[log] = standby{p.Start, now}
		}
	}
}

// caughtUp says whether a member stands by with all that this one had folded handOverLag ago.
func (r *roster) caughtUp(p *peer, log string, own Hosted) bool {
	h := p.Logs[log]
	least := own.Folded
	if len(r.progress) > 0 {
		least = min(least, r.progress[0].logs[log].Folded)
	}
	return h.State == StateStandby && h.Folded >= least
}

// handOver says whether to give a log up for the preferred member now, and counts it as done.
func (r *roster) handOver(now time.Time, log id.Log) bool {
	p := r.peers[r.preferred(now, log, "", true)]
	s, ready := r.standby[log]
	switch {
	case p == nil, !ready, s.start != p.Start, now.Sub(s.since) < handOverReady:
		return false
	case now.Sub(r.took[log]) < handOverKeep, now.Sub(r.handed) < handOverEvery:
		return false
	case now.Sub(r.last) > outage: // the registers are away, and whoever should take the lease reaches them no better
		return false
	}
	r.handed = now
	return true
}

// presence is how a member publishes itself, without goroutines, clock and registers: it is told the time and what came
// of each call, and says what to do next. After each next that says get or set, looked or wasSet must follow.
//
// A register that another process has is taken over once it was not renewed for LeaseTTL, as a lease that ran out; one
// that is renewed makes this process the second of its name.
type presence struct {
	start string

	revision uint64 // of the register, as this process knows it
	look     bool   // it must be read before it is set
	again    time.Time
	due      time.Time // of the next publication
	asked    time.Time
	other    *sight // another process under this name
	renewed  int    // how often it was seen to renew; once may be the last word of one that is gone
	joined   bool   // published
	taken    bool   // by another process that is alive: by
	by       memberValue
}

func newPresence(start string) *presence { return &presence{start: start, look: true} }

func (p *presence) next(now time.Time) step {
	switch {
	case now.Before(p.again):
		return step{do: doWait, until: p.again}
	case p.taken:
		return step{do: doEnd}
	case p.look:
		p.asked = now
		return step{do: doGet}
	case now.Before(p.due):
		return step{do: doWait, until: p.due}
	}
	p.asked = now
	return step{do: doSet, revision: p.revision}
}

func (p *presence) looked(now time.Time, r Register, err error) {
	if err != nil && !errors.Is(err, ErrNoRegister) {
		p.again = p.asked.Add(leaseRetry)
		return
	}
	p.look, p.revision = false, r.Revision
	var v memberValue
	_ = json.Unmarshal(r.Value, &v)
	if r.Revision == 0 || v.Start == p.start {
		p.other = nil
		return
	}
	p.watch(now, r, v)
}

// watch looks on while another process has the register: does it renew it?
func (p *presence) watch(now time.Time, r Register, v memberValue) {
	o := p.other
	switch {
	case o == nil || now.Sub(o.last) > outage:
		p.other, p.renewed = &sight{revision: r.Revision, data: bytes.Clone(r.Value), first: now}, 0
	case o.revision != r.Revision || !bytes.Equal(o.data, r.Value):
		p.other, p.renewed = &sight{revision: r.Revision, data: bytes.Clone(r.Value), first: now}, p.renewed+1
		p.taken, p.by = p.renewed > 1, v
	case now.Sub(o.first) >= LeaseTTL:
		return // nobody is there any more: it is this process's
	}
	p.other.last = now
	p.look, p.again = true, now.Add(memberWatch)
}

func (p *presence) wasSet(_ time.Time, revision uint64, err error) {
	if err != nil {
		p.look, p.again = true, p.asked.Add(leaseRetry)
		return
	}
	p.revision, p.other, p.joined = revision, nil, true
	p.due = p.asked.Add(memberEvery)
}
