package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/memory"
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// toy is a small core: groups by name, and what it was told of others.
//
//	CreateGroup{group, parent}  GroupCreated; refused if the name is taken. Parent "panic" panics, "fold" panics in
//	                            Evolve, "failure" as a store does, "at:<ms>" asks for a timer
//	RemoveThings{things}        one ThingLeft for each: a call of any size
//	React: JobStarted{job}      SelectionStarted{job}; job 13 panics
//	Due: of a SelectionStarted  ten ThingsSelected, one a slice, then SelectionFinished
//	Due: of a timer             ThingDeleted of that name
//	Observe                     Observed
//	Answer: CheckTargets        as_of: the number of the view; unknown: the groups there are
//	Notify: of a GroupCreated   tells that name
type toy struct{}

const (
	toyGroup = 'g' // by name: the creating event's number
	toyTimer = 't' // by time and name
	toyJob   = 'j' // by job: slices done
)

func (toy) Decide(s *core.Step, cmd proto.Message) (proto.Message, error) {
	switch c := cmd.(type) {
	case *v1.CreateGroup:
		switch c.Parent {
		case "panic":
			s.Emit(&v1.Event{Event: &v1.Event_GroupCreated{GroupCreated: &v1.GroupCreated{Group: c.Group}}}, nil)
			panic("the toy broke on " + c.Group)
		case "failure":
			panic(&kv.Failure{Op: "get", Err: io.ErrUnexpectedEOF})
		}
		if _, ok := s.Get(kv.NewKey(toyGroup).String(c.Group)); ok {
			return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_ALREADY_EXISTS, "group", "%s is taken", c.Group)
		}
		s.Emit(&v1.Event{Event: &v1.Event_GroupCreated{GroupCreated: &v1.GroupCreated{Group: c.Group, Parent: c.Parent, Number: s.Place().ID()}}}, nil)
		return &v1.CreateGroupReply{Position: s.Position()}, nil
	case *v1.RemoveThings:
		for _, t := range c.Things {
			s.Emit(&v1.Event{Event: &v1.Event_ThingLeft{ThingLeft: &v1.ThingLeft{Group: c.Group, Thing: &v1.ThingRef{Name: t}}}}, nil)
		}
		return &v1.RemoveThingsReply{Position: s.Position(), Left: uint32(len(c.Things))}, nil
	}
	return nil, core.Unknown("toy", cmd)
}

func (toy) React(s *core.Step, at *v1.Position, atMs int64, e *v1.Entry) {
	if j := e.Event.GetJobStarted(); j != nil {
		if j.Job == 13 {
			panic("the toy fears 13")
		}
		s.Emit(&v1.Event{Event: &v1.Event_SelectionStarted{SelectionStarted: &v1.SelectionStarted{Job: j.Job}}}, nil)
	}
}

func (toy) Observe(s *core.Step, t []*v1.HomeTally) {
	s.Emit(&v1.Event{Event: &v1.Event_Observed{Observed: &v1.Observed{Homes: t}}}, nil)
}

func (toy) Due(s *core.Step) int64 {
	for k, v := range s.Scan([]byte{toyJob}, []byte{toyJob + 1}) {
		job, _ := kv.CutUint(k[1:])
		done := v[0]
		if done == 10 {
			s.Emit(&v1.Event{Event: &v1.Event_SelectionFinished{SelectionFinished: &v1.SelectionFinished{Job: job}}}, nil)
		} else {
			s.Emit(&v1.Event{Event: &v1.Event_ThingsSelected{ThingsSelected: &v1.ThingsSelected{Job: job, Resume: []byte{done + 1}}}}, nil)
		}
		return s.Now
	}
	for k := range s.Scan([]byte{toyTimer}, []byte{toyTimer + 1}) {
		at, rest := kv.CutUint(k[1:])
		if int64(at) > s.Now {
			return int64(at)
		}
		name, _ := kv.CutString(rest)
		s.Emit(&v1.Event{Event: &v1.Event_ThingDeleted{ThingDeleted: &v1.ThingDeleted{Thing: &v1.ThingRef{Name: name, Number: at}}}}, nil)
		return s.Now
	}
	return core.Never
}

func (toy) Answer(v core.View, q proto.Message) (proto.Message, error) {
	r := &v1.CheckTargetsReply{AsOf: v.Number}
	for k := range v.Scan([]byte{toyGroup}, []byte{toyGroup + 1}) {
		name, _ := kv.CutString(k[1:])
		r.Unknown = append(r.Unknown, &v1.Target{Target: &v1.Target_Group{Group: name}})
	}
	return r, nil
}

func (toy) Evolve(tx kv.Tx, at core.Place, e *v1.Event) {
	switch e := e.Event.(type) {
	case *v1.Event_GroupCreated:
		if e.GroupCreated.Parent == "fold" {
			panic("the toy cannot fold " + e.GroupCreated.Group)
		}
		tx.Set(kv.NewKey(toyGroup).String(e.GroupCreated.Group), []byte{1})
		var ms uint64
		if n, _ := fmt.Sscanf(e.GroupCreated.Parent, "at:%d", &ms); n == 1 {
			tx.Set(kv.NewKey(toyTimer).Uint(ms).String(e.GroupCreated.Group), []byte{1})
		}
	case *v1.Event_ThingDeleted:
		tx.Delete(kv.NewKey(toyTimer).Uint(e.ThingDeleted.Thing.Number).String(e.ThingDeleted.Thing.Name))
	case *v1.Event_SelectionStarted:
		tx.Set(kv.NewKey(toyJob).Uint(e.SelectionStarted.Job), []byte{0})
	case *v1.Event_ThingsSelected:
		tx.Set(kv.NewKey(toyJob).Uint(e.ThingsSelected.Job), e.ThingsSelected.Resume)
	case *v1.Event_SelectionFinished:
		tx.Delete(kv.NewKey(toyJob).Uint(e.SelectionFinished.Job))
	case *v1.Event_ThingLeft, *v1.Event_Observed, *v1.Event_JobStarted, *v1.Event_HomeSettled:
	default:
		panic(core.Unreadable(at, &v1.Event{Event: e}))
	}
}

func (toy) StateVersion() int { return 1 }

func (toy) Notify(_ kv.Reader, nowMs int64, entries []core.Placed) []*v1.Notification {
	var n []*v1.Notification
	for _, e := range entries {
		if g := e.Entry.Event.GetGroupCreated(); g != nil {
			n = append(n, &v1.Notification{Thing: g.Group, AtMs: nowMs})
		}
	}
	return n
}

// rig is a machine of the toy with its log, driven by hand.
type rig struct {
	t       testing.TB
	backend *memory.Backend
	up      *upstreamLog
	cfg     Config
	m       *Machine
	now     int64
	answers []string
	told    tellings
	head    memoryHead
}

// newRig makes a rig of log.targeting, which reads log.job.
func newRig(t testing.TB) *rig {
	r := &rig{t: t, backend: memory.New(), up: newUpstreamLog(t, id.JobLog), now: 1_000_000}
	r.cfg = Config{
		Log: eventstore.New(id.TargetingLog, r.backend), Core: toy{}, State: kv.NewMemory(),
		Upstream: []*eventstore.Log{r.up.log}, Homes: 2, Owner: "one", LogID: []byte("0123456789abcdef"),
		IsQuery:  func(m proto.Message) bool { _, ok := m.(*v1.CheckTargets); return ok },
		Notifier: &r.told, Head: &r.head, Logger: slog.New(slog.DiscardHandler),
	}
	return r
}

// boot starts a machine on what is kept, which may own its log.
func (r *rig) boot() *rig {
	r.t.Helper()
	m, err := Boot(context.Background(), r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.m = m
	m.Claim()
	return r
}

// own boots, and goes on until the machine serves.
func (r *rig) own() *rig {
	r.t.Helper()
	r.boot()
	for !r.m.Owns() {
		r.step()
	}
	if err := r.m.Goals(context.Background()); err != nil {
		r.t.Fatal(err)
	}
	r.read()
	for !r.m.CaughtUp() {
		r.step()
	}
	if err := r.m.Retell(context.Background()); err != nil {
		r.t.Fatal(err)
	}
	return r
}

// read delivers what stands in the upstream log.
func (r *rig) read() *rig {
	r.t.Helper()
	if len(r.m.upstream) == 0 {
		return r
	}
	mark, err := r.m.ResumeMark(context.Background(), 0)
	if err != nil {
		r.t.Fatal(err)
	}
	mark.Number = max(mark.Number, r.m.upstream[0].last)
	_, last, _ := r.up.log.Bounds(context.Background())
	for n := mark.Number + 1; n <= last; n++ {
		c, err := r.up.log.Read(context.Background(), n)
		if err == nil {
			err = r.m.Deliver(r.now, c)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	return r
}

// submit hands in a command; its answer is written to answers.
func (r *rig) submit(cid string, cmd proto.Message) *rig {
	r.m.Submit(Request{Command: cmd, ID: cid, By: "test", Arrived: time.UnixMilli(r.now), Done: r.answer})
	return r
}

func (r *rig) answer(reply proto.Message, err error) {
	switch {
	case errors.Is(err, ErrDropped):
		r.answers = append(r.answers, "DROPPED")
	case err != nil:
		refusal, ok := err.(*v1.Refusal)
		if !ok {
			r.t.Errorf("an answer is no refusal: %v", err)
			return
		}
		r.answers = append(r.answers, strings.TrimPrefix(refusal.Code.String(), "REFUSAL_CODE_"))
	default:
		r.answers = append(r.answers, strings.ReplaceAll(prototext.MarshalOptions{}.Format(reply), "  ", " "))
	}
}

// take returns the answers since the last take.
func (r *rig) take() string {
	a := strings.Join(r.answers, " | ")
	r.answers = nil
	return a
}

// step runs one step and its append to the end.
func (r *rig) step() (wrote bool) {
	r.t.Helper()
	wrote, err := r.tryStep()
	if err != nil {
		r.t.Fatal(err)
	}
	return wrote
}

func (r *rig) tryStep() (wrote bool, err error) {
	sealed, err := r.m.Step(r.now)
	if err != nil || sealed == nil {
		return false, err
	}
	return true, r.append(sealed)
}

func (r *rig) append(sealed *eventstore.Sealed) error {
	ctx := context.Background()
	next, err := r.m.Appended(r.now, r.cfg.Log.Append(ctx, *sealed))
	for rounds := 0; err == nil && next != Go; rounds++ {
		if next == Append {
			next, err = r.m.Appended(r.now, r.cfg.Log.Append(ctx, *sealed))
		} else {
			c, rerr := r.cfg.Log.Read(ctx, sealed.Number)
			next, err = r.m.Found(r.now, c, rerr)
		}
		r.now += 10
	}
	return err
}

// commit reads a commit of the log.
func (r *rig) commit(number uint64) *v1.Commit {
	r.t.Helper()
	c, err := r.cfg.Log.Read(context.Background(), number)
	if err != nil {
		r.t.Fatal(err)
	}
	return c.Commit
}

func (r *rig) last() uint64 {
	_, last, _ := r.backend.Bounds(context.Background())
	return last
}

// text writes the log from a commit on, one line a commit: its events' names.
func (r *rig) text(from uint64) string {
	var lines []string
	for n := from; n <= r.last(); n++ {
		c := r.commit(n)
		var names []string
		for _, e := range c.Entries {
			m := e.Event.ProtoReflect()
			names = append(names, string(m.WhichOneof(m.Descriptor().Oneofs().Get(0)).Message().Name()))
		}
		lines = append(lines, strings.Join(names, " "))
	}
	return strings.Join(lines, "\n")
}

// folded checks that the state is the fold of the log.
func (r *rig) folded() {
	r.t.Helper()
	cfg := r.cfg
	cfg.State = kv.NewMemory()
	fresh, err := Boot(context.Background(), cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	if got, want := dump(r.cfg.State), dump(fresh.cfg.State); got != want {
		r.t.Fatalf("the state is not the fold of the log\nstate:\n%s\nfold:\n%s", got, want)
	}
}

func dump(s kv.Reader) string {
	var b strings.Builder
	for k, v := range s.Scan(nil, nil) {
		fmt.Fprintf(&b, "%q = %x\n", k, v)
	}
	return b.String()
}

func group(name string) *v1.CreateGroup { return &v1.CreateGroup{Group: name} }

func groupIn(name, parent string) *v1.CreateGroup {
	return &v1.CreateGroup{Group: name, Parent: parent}
}

// tellings is a notifier that keeps what it is told, and lets a test say when it is done.
type tellings struct {
	all  []string
	done []func()
	hold bool
}

func (t *tellings) Notify(number uint64, n []*v1.Notification, done func()) {
	for _, x := range n {
		t.all = append(t.all, fmt.Sprintf("%d:%s", number, x.Thing))
	}
	if t.hold {
		t.done = append(t.done, done)
		return
	}
	done()
}

// memoryHead is a head that survives as long as the rig.
type memoryHead struct {
	head eventstore.Head
	sets int
}

func (h *memoryHead) Head() (eventstore.Head, bool) { return h.head, h.sets > 0 }
func (h *memoryHead) Set(x eventstore.Head) error   { h.head, h.sets = x, h.sets+1; return nil }
func (h *memoryHead) Sync() error                   { return nil }

// failingStore fails every commit of a batch once it is told to.
type failingStore struct {
	kv.Store
	failed bool
}

func (s *failingStore) NewBatch() kv.Batch { return &failingBatch{s.Store.NewBatch(), s} }

type failingBatch struct {
	kv.Batch
	store *failingStore
}

func (b *failingBatch) Commit() error {
	if b.store.failed {
		return &kv.Failure{Op: "commit", Err: errors.New("no space left on device")}
	}
	return b.Batch.Commit()
}

// upstreamLog is a log that a test writes.
type upstreamLog struct {
	t       testing.TB
	backend *memory.Backend
	log     *eventstore.Log
	mark    eventstore.Mark
}

func newUpstreamLog(t testing.TB, name id.Log) *upstreamLog {
	b := memory.New()
	u := &upstreamLog{t: t, backend: b, log: eventstore.New(name, b)}
	u.write(&v1.Commit{Entries: []*v1.Entry{{Event: &v1.Event{Event: &v1.Event_LogOpened{LogOpened: &v1.LogOpened{
		Service: name.Service, Home: uint32(name.Home), Format: 1, Homes: 2, HomeHash: homeHash,
	}}}}}})
	return u
}

// write appends a commit, completing its head.
func (u *upstreamLog) write(c *v1.Commit) {
	u.t.Helper()
	c.LogId, c.Number, c.ReaderVersion = []byte("fedcba9876543210"), u.mark.Number+1, eventstore.ReaderVersion
	if u.mark.Number > 0 {
		c.PreviousHash = u.mark.Hash[:]
	}
	sealed, err := eventstore.Seal(c)
	if err == nil {
		err = u.log.Append(context.Background(), sealed)
	}
	if err != nil {
		u.t.Fatal(err)
	}
	u.mark = sealed.Mark()
}

func (u *upstreamLog) events(events ...*v1.Event) {
	u.t.Helper()
	c := &v1.Commit{}
	for _, e := range events {
		c.Entries = append(c.Entries, &v1.Entry{Event: e})
	}
	u.write(c)
}

func started(job uint64) *v1.Event {
	return &v1.Event{Event: &v1.Event_JobStarted{JobStarted: &v1.JobStarted{Job: job}}}
}

func completed(job uint64) *v1.Event {
	return &v1.Event{Event: &v1.Event_JobCompleted{JobCompleted: &v1.JobCompleted{Job: job}}}
}
