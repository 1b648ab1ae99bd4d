package device_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/fronts/device"
)

// quiet is a front whose owner can be silenced, and ears for all that it says. Submitted requests go to the channel.
type quiet struct {
	t         *testing.T
	front     *device.Front
	silent    atomic.Bool
	asked     chan asked
	nc        *nats.Conn
	ears      *nats.Subscription
	questions atomic.Int32 // how often it was asked whether it may speak
	close     func()
	amid      func()       // called when silence falls
	silenceAt atomic.Int32 // the question from which on it may not; 0: silent decides
}

type asked struct {
	request proto.Message
	done    func(proto.Message, error)
}

func startQuiet(t *testing.T) *quiet {
	// Any broker does: what a hub permits is not what this is about.
	broker, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	go broker.Start()
	t.Cleanup(broker.Shutdown)
	if !broker.ReadyForConnections(patience) {
		t.Fatal("the broker is not ready")
	}
	connect := func() *nats.Conn {
		nc, err := nats.Connect(broker.ClientURL(), nats.Timeout(patience))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	q := &quiet{t: t, asked: make(chan asked, 100), nc: connect()}
	q.front, err = device.New(device.Config{
		Requests: connect(), Notify: connect(), Home: 0, Shut: true,
		Submit: func(r proto.Message, done func(proto.Message, error)) { q.asked <- asked{r, done} },
		MaySpeak: func() bool {
			n := q.questions.Add(1)
			if n == q.silenceAt.Load() && q.amid != nil {
				q.amid()
			}
			return !q.silent.Load() && (q.silenceAt.Load() == 0 || n < q.silenceAt.Load())
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if q.ears, err = q.nc.SubscribeSync("$aws.things.*.jobs.>"); err != nil {
		t.Fatal(err)
	}
	if err := q.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	q.close = sync.OnceFunc(func() { _ = q.front.Close() })
	t.Cleanup(q.close)
	return q
}

func (q *quiet) next() asked {
	q.t.Helper()
	select {
	case a := <-q.asked:
		return a
	case <-time.After(2 * patience):
		q.t.Fatal("no request is submitted")
		return asked{}
	}
}

func (q *quiet) hears(suffix string) string {
	q.t.Helper()
	m, err := q.ears.NextMsg(patience)
	if err != nil || !strings.HasSuffix(m.Subject, suffix) {
		q.t.Fatalf("heard %v, %v; want …%s", m, err, suffix)
	}
	return string(m.Data)
}

// tell tells a thing of a list, and returns whether that is done.
func (q *quiet) tell(at int64, things ...string) *atomic.Bool {
	done := new(atomic.Bool)
	var list []*v1.Notification
	for _, thing := range things {
		list = append(list, &v1.Notification{Thing: thing, AtMs: at * 1000, List: &v1.PendingList{}})
	}
	q.front.Notify(uint64(at), list, func() { done.Store(true) })
	return done
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestASilentOwnerTellsNobodyUntilItMaySpeak(t *testing.T) {
	q := startQuiet(t)
	q.silent.Store(true)
	one := q.tell(1, "t1")
	eventually(t, "it has looked twice", func() bool { return q.questions.Load() > 2 })
	two := q.tell(2, "t1")
	if one.Load() || two.Load() {
		t.Error("what was withheld is done")
	}
	q.silent.Store(false)
	eventually(t, "both are done", func() bool { return one.Load() && two.Load() })
	if got := q.hears("t1.jobs.notify"); got != `{"timestamp":2,"jobs":{}}` {
		t.Errorf("the first that is heard is %s", got)
	}
	if m, err := q.ears.NextMsg(50 * time.Millisecond); err == nil {
		t.Errorf("it says more: %s", m.Data)
	}
}

func TestWhoFallsSilentWhileHeTellsTellsTheRestLater(t *testing.T) {
	q := startQuiet(t)
	q.silenceAt.Store(4) // asked before it begins, and before each: two are told
	var things []string
	for i := range 5 {
		things = append(things, fmt.Sprint("t", i))
	}
	var newer *atomic.Bool
	q.amid = func() { newer = q.tell(2, "t3") } // while the older one is on its way back
	done := q.tell(1, things...)
	q.hears("t0.jobs.notify")
	q.hears("t1.jobs.notify")
	eventually(t, "it waits", func() bool { return q.questions.Load() > 6 })
	if done.Load() {
		t.Error("a commit of which something was withheld is done")
	}
	q.silenceAt.Store(0)
	rest := map[string]string{}
	for range 3 {
		m, err := q.ears.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		rest[strings.Split(m.Subject, ".")[2]] = string(m.Data)
	}
	for thing, at := range map[string]int{"t2": 1, "t3": 2, "t4": 1} {
		if want := fmt.Sprintf(`{"timestamp":%d,"jobs":{}}`, at); rest[thing] != want {
			t.Errorf("%s is told %s, not %s", thing, rest[thing], want)
		}
	}
	eventually(t, "both are done", func() bool { return done.Load() && newer.Load() })
}

func TestWhatIsWithheldToTheEndIsNeitherToldNorDone(t *testing.T) {
	q := startQuiet(t)
	q.silent.Store(true)
	done := q.tell(1, "t1")
	q.close()
	if err := q.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if m, err := q.ears.NextMsg(50 * time.Millisecond); err == nil || done.Load() {
		t.Errorf("told %v, done %v", m, done.Load())
	}
}

func TestAShutFrontTakesRequestsOnceItIsOpen(t *testing.T) {
	q := startQuiet(t)
	ask := func(op string) {
		if err := q.nc.Publish("drover.home.0.device.t1."+op, nil); err != nil {
			t.Fatal(err)
		}
		if err := q.nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	ask("get")
	if err := q.front.Open(); err != nil {
		t.Fatal(err)
	}
	ask("start-next")
	a := q.next()
	if _, ok := a.request.(*v1.StartNext); !ok {
		t.Fatalf("the first request is %T", a.request)
	}
	a.done(nil, v1.ErrDropped) // nothing is sent for it
	ask("get")
	q.next().done(&v1.GetPendingReply{}, nil)
	q.hears("t1.jobs.get.accepted")

	// Read in time, and sent too late: it says nothing of what was read.
	q.silent.Store(true)
	ask("get")
	q.next().done(&v1.GetPendingReply{}, nil)
	if got := q.hears("t1.jobs.get.rejected"); !strings.Contains(got, "InternalError") {
		t.Error(got)
	}
	// Written: it stands in the log, whoever owns it now.
	ask("start-next")
	q.next().done(&v1.StartNextReply{Execution: &v1.Execution{JobId: "j"}}, nil)
	q.hears("t1.jobs.start-next.accepted")
	// What no host sees is refused by who may speak.
	ask("$next.update")
	ask("start-next")
	q.next().done(&v1.StartNextReply{Execution: &v1.Execution{JobId: "j"}}, nil)
	q.hears("t1.jobs.start-next.accepted")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := q.front.Drain(ctx); err != nil { // every slot is free again
		t.Error(err)
	}
}
