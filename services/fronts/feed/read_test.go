package feed

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

// asker asks a server of the feed over the bus.
type asker struct {
	t      *testing.T
	client *bus.Client
}

func serve(t *testing.T, nc *nats.Conn) *asker {
	t.Helper()
	s, err := bus.NewServer(nc, "feed", "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	if err := Serve(s, nc); err != nil {
		t.Fatal(err)
	}
	return &asker{t, bus.NewClient(nc)}
}

func (a *asker) ask(q *v1.ReadFeed) *v1.ReadFeedReply {
	a.t.Helper()
	r, err := bus.ReadFeed.Call(within(a.t), a.client, q)
	if err != nil {
		a.t.Fatalf("%v: %v", q, err)
	}
	return r
}

// all reads page after page to the end.
func (a *asker) all(q *v1.ReadFeed) (all []*v1.FeedMessage) {
	a.t.Helper()
	for {
		r := a.ask(q)
		all = append(all, r.Messages...)
		if r.Next < q.After || len(r.Messages) == 0 && !r.End && r.Next == q.After {
			a.t.Fatalf("%v is answered with next %d", q, r.Next)
		}
		q.After = r.Next
		if r.End {
			return all
		}
	}
}

func refusedWith(t *testing.T, err error, code v1.RefusalCode, text string) {
	t.Helper()
	var r *v1.Refusal
	if !errors.As(err, &r) || r.Code != code || !strings.Contains(err.Error(), text) {
		t.Errorf("it is answered with %v, want %v and %q", err, code, text)
	}
}

func TestPagesHoldWhatIsAskedFor(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 2, 21)
	h.begin(nc, Limits{})
	for range 150 {
		h.grow()
	}
	run(t, h.feeder(connect(t, s)))
	h.fed(nc, h.events)
	feed := readAll(t, nc)
	a := serve(t, nc)
	after := feed[len(feed)/3]
	since := feed[len(feed)/2].event.Position
	for _, c := range []struct {
		q    *v1.ReadFeed
		want func(m stored) bool
	}{
		{&v1.ReadFeed{}, func(stored) bool { return true }},
		{&v1.ReadFeed{Limit: 7}, func(stored) bool { return true }},
		{&v1.ReadFeed{Limit: 1000, After: after.number}, func(m stored) bool { return m.number > after.number }},
		{&v1.ReadFeed{JobId: "job-1"}, func(m stored) bool { return m.event.JobId == "job-1" }},
		{&v1.ReadFeed{JobId: "job-none"}, func(m stored) bool { return false }},
		{&v1.ReadFeed{JobId: "job-1", Limit: 3, After: after.number}, func(m stored) bool { return m.event.JobId == "job-1" && m.number > after.number }},
		{&v1.ReadFeed{Thing: thing(1), Limit: 5}, func(m stored) bool { return m.event.GetEntry().GetEvent().Names(thing(1)) }},
		{&v1.ReadFeed{Thing: thing(1), JobId: "job-0"}, func(m stored) bool {
			return m.event.GetEntry().GetEvent().Names(thing(1)) && m.event.JobId == "job-0"
		}},
		{&v1.ReadFeed{Since: []*v1.Position{since}}, func(m stored) bool {
			return id.LogOf(m.event.Position) != id.LogOf(since) || m.event.Position.Number > since.Number ||
				m.event.Position.Number == since.Number && since.Entry > 0 && m.event.Position.Entry > since.Entry
		}},
	} {
		what := fmt.Sprint(c.q)
		var want []stored
		for _, m := range feed {
			if c.want(m) {
				want = append(want, m)
			}
		}
		got := a.all(c.q)
		if len(got) != len(want) {
			t.Errorf("%s: %d messages, want %d", what, len(got), len(want))
			continue
		}
		for i, m := range got {
			w := Subject{Service: id.LogOf(want[i].event.Position).Service, Event: want[i].event.GetEntry().GetEvent().Type(), Job: want[i].event.JobId,
				Thing: thingOf(want[i].event.GetEntry().GetEvent().Body())}
			if m.Number != want[i].number || string(m.Event) != string(want[i].msg.Data()) || m.Subject != w.String() {
				t.Errorf("%s: message %d is %v, want feed@%d on %s", what, i, m, want[i].number, w)
			}
		}
	}
}

// What was dropped is told, wherever one goes on from; and nothing is told that was not missed.
func TestWhatIsNoLongerKeptIsTold(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 1, 22)
	h.begin(nc, Limits{})
	for range 40 {
		h.createJob()
	}
	h.report(5)
	run(t, h.feeder(connect(t, s)))
	h.fed(nc, h.events)
	feed := readAll(t, nc)
	a := serve(t, nc)
	if r := a.ask(&v1.ReadFeed{}); r.Expired != 0 || len(r.Messages) == 0 {
		t.Fatalf("of a whole feed: expired %d", r.Expired)
	}
	api, err := js.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := api.Stream(within(t), StreamName)
	if err != nil {
		t.Fatal(err)
	}
	const first = 31
	if err := stream.Purge(within(t), js.WithPurgeSequence(first)); err != nil {
		t.Fatal(err)
	}
	for after, want := range map[uint64]uint64{0: 30, 10: 20, 29: 1, 30: 0, 31: 0, 40: 0} {
		r := a.ask(&v1.ReadFeed{After: after})
		if r.Expired != want || r.Messages[0].Number != max(after+1, first) {
			t.Errorf("after %d: expired %d, first %d", after, r.Expired, r.Messages[0].Number)
		}
	}
	// By positions: up to the last of each log that was dropped, and up to the one before it.
	dropped := map[id.Log]*v1.Position{}
	before := map[id.Log]*v1.Position{}
	for _, m := range feed[:first-1] {
		log := id.LogOf(m.event.Position)
		before[log], dropped[log] = dropped[log], m.event.Position
	}
	// The last of its commit is said as the whole of it: from an entry alone nobody can tell whether others follow.
	for log, p := range dropped {
		whole := true
		for _, m := range feed[first-1:] {
			if q := m.event.Position; id.LogOf(q) == log && q.Number == p.Number {
				whole = false
			}
		}
		if whole {
			dropped[log] = log.Position(p.Number, 0)
		}
	}
	positions := func(of map[id.Log]*v1.Position) (list []*v1.Position) {
		for _, p := range of {
			if p != nil {
				list = append(list, p)
			}
		}
		return list
	}
	if r := a.ask(&v1.ReadFeed{Since: positions(dropped)}); r.Expired != 0 {
		t.Errorf("behind all that was dropped: expired %d", r.Expired)
	}
	if r := a.ask(&v1.ReadFeed{Since: positions(before)}); r.Expired == 0 {
		t.Error("before some of what was dropped: nothing expired")
	}
	delete(dropped, id.JobLog)
	if r := a.ask(&v1.ReadFeed{Since: positions(dropped)}); r.Expired == 0 {
		t.Error("log.job from its beginning: nothing expired")
	}
}

func TestWhoWaitsIsAnsweredWhenSomethingComes(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 1, 23)
	h.begin(nc, Limits{})
	run(t, h.feeder(connect(t, s)))
	h.fed(nc, h.events)
	a := serve(t, nc)
	refused := func() {
		h.append(id.ExecutionLog(0), &v1.Commit{Entries: []*v1.Entry{{Event: &v1.Event{Event: &v1.Event_ReleaseRefused{
			ReleaseRefused: &v1.ReleaseRefused{Job: h.jobs[0].number, Thing: &v1.ThingRef{Name: "press-999", Number: 7}}}}}}})
	}
	for _, c := range []struct {
		q    *v1.ReadFeed
		news func()
	}{
		{&v1.ReadFeed{}, h.createJob}, {&v1.ReadFeed{JobId: "job-0"}, refused}, {&v1.ReadFeed{Thing: "press-999"}, refused},
	} {
		c.q.After, c.q.WaitMs = uint64(h.events), 10_000
		answered := make(chan *v1.ReadFeedReply, 1)
		go func() { answered <- a.ask(c.q) }()
		h.createJob() // of no interest to the other questions
		c.news()
		if r := <-answered; len(r.Messages) == 0 {
			t.Errorf("%v is answered with nothing: %v", c.q, r)
		}
		h.fed(nc, h.events)
	}
	if r := a.ask(&v1.ReadFeed{After: uint64(h.events), WaitMs: 50}); len(r.Messages) != 0 || !r.End || r.Next != uint64(h.events) {
		t.Errorf("nothing has come: %v", r)
	}
}

func TestWhatCannotBeReadIsRefused(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 1, 24)
	a := serve(t, nc)
	_, err := bus.ReadFeed.Call(within(t), a.client, &v1.ReadFeed{})
	refusedWith(t, err, v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "no feed yet")
	h.begin(nc, Limits{})
	if r := a.ask(&v1.ReadFeed{}); !r.End || r.Next != 0 || r.Expired != 0 {
		t.Errorf("an empty feed: %v", r)
	}
	run(t, h.feeder(connect(t, s)))
	h.fed(nc, h.events)
	for text, q := range map[string]*v1.ReadFeed{
		"jobId": {JobId: "a b"}, "thingName": {Thing: "a.b"}, "limit": {Limit: 1001},
		fmt.Sprintf("ends at feed@%d, before feed@99", h.events): {After: 99},
	} {
		_, err := bus.ReadFeed.Call(within(t), a.client, q)
		refusedWith(t, err, v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, text)
	}
}

// Large events fill pages, and no page is larger than what the broker takes.
func TestPagesAreBoundedInBytes(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 1, 25)
	h.begin(nc, Limits{})
	for _, size := range []int{100, 100 << 10, 300 << 10, 100, 400 << 10, 200 << 10, 100} {
		h.append(id.JobLog, &v1.Commit{Entries: []*v1.Entry{{Event: &v1.Event{Event: &v1.Event_InputQuarantined{
			InputQuarantined: &v1.InputQuarantined{Type: "t", Input: make([]byte, size)}}}}}})
	}
	run(t, h.feeder(connect(t, s)))
	h.fed(nc, h.events)
	if got := serve(t, nc).all(&v1.ReadFeed{}); len(got) != h.events {
		t.Errorf("%d messages of %d", len(got), h.events)
	}
}
