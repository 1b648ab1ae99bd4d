package feed

import (
	"context"
	"encoding/base64"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const testSecret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// receiver is somebody's HTTP server, which verifies what it is sent.
type receiver struct {
	*httptest.Server
	t    *testing.T
	mute atomic.Bool // what is taken is not answered

	mu     sync.Mutex
	ids    []string // of the events that were taken, in order
	all    int      // requests
	answer func(w http.ResponseWriter, r *http.Request) (taken bool)
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t}
	key, err := standardwebhooks.NewWebhook(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		if err := key.Verify(body, q.Header); err != nil {
			t.Errorf("the signature: %v (%v)", err, q.Header)
		}
		number, err := eventID(body)
		if err != nil && !strings.Contains(string(body), "drover.webhook.Checked") {
			t.Errorf("%s: %v", body, err)
		}
		if want := strings.ReplaceAll(number, ".", "-"); q.Method != "POST" || q.Header.Get("Content-Type") != contentType || want != "" && q.Header.Get("webhook-id") != want {
			t.Errorf("%s with %v", q.Method, q.Header)
		}
		r.mu.Lock()
		r.all++
		answer := r.answer
		r.mu.Unlock()
		if answer != nil && !answer(w, q) {
			return
		}
		r.mu.Lock()
		r.ids = append(r.ids, number)
		r.mu.Unlock()
		if r.mute.Load() {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(r.CloseClientConnections)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) Close() {
	r.CloseClientConnections()
	r.Server.Close()
}

// behave changes how the receiver answers; nil is well.
func (r *receiver) behave(answer func(http.ResponseWriter, *http.Request) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *receiver) requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all
}

// taken lists the ids of what was taken, each where it came first.
func (r *receiver) taken() (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[string]bool{}
	for _, n := range r.ids {
		if !seen[n] {
			seen[n] = true
			list = append(list, n)
		}
	}
	return list
}

// want waits until exactly these events were taken, in this order.
func (r *receiver) want(ids []string) {
	r.t.Helper()
	eventually(r.t, "all events are taken", func() bool { return len(r.taken()) >= len(ids) })
	if got := r.taken(); !slices.Equal(got, ids) {
		for i := range min(len(got), len(ids)) {
			if got[i] != ids[i] {
				r.t.Fatalf("event %d of %d is %s, want %s", i, len(ids), got[i], ids[i])
			}
		}
		r.t.Fatalf("%d events were taken, want %d", len(got), len(ids))
	}
}

func idsOf(all []stored, keep func(stored) bool) (ids []string) {
	for _, m := range all {
		if keep == nil || keep(m) {
			ids = append(ids, placeOf(m.event))
		}
	}
	return ids
}

// bridge runs one that is impatient.
func bridge(t *testing.T, s *server.Server, hooks ...Webhook) *Bridge {
	t.Helper()
	b, err := NewBridge(BridgeConfig{Conn: connect(t, s), Webhooks: hooks, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	b.againMin, b.againMax, b.ackWait, b.requestMax = 5*time.Millisecond, 40*time.Millisecond, 500*time.Millisecond, 300*time.Millisecond
	done := make(chan error, 1)
	go func() { done <- b.Run(t.Context()) }()
	t.Cleanup(func() {
		b.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b
}

func hookTo(r *receiver, change ...func(*Webhook)) Webhook {
	w := Webhook{Name: "tickets", URL: r.URL + "/drover", Secret: testSecret, Start: startBeginning}
	for _, f := range change {
		f(&w)
	}
	return w
}

// A receiver fails in every way for a while; it gets all events, in their order.
func TestAReceiverThatFailsForAWhileGetsAll(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 2, 31)
	h.begin(nc, Limits{})
	run(t, h.feeder(connect(t, s)))
	r := newReceiver(t)
	gone := make(chan struct{})
	t.Cleanup(func() { close(gone) })
	b := bridge(t, s, hookTo(r))
	for name, behaviour := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"well": nil,
		"500": func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusInternalServerError)
			return false
		},
		"redirects": func(w http.ResponseWriter, q *http.Request) bool {
			http.Redirect(w, q, "/elsewhere", http.StatusTemporaryRedirect)
			return false
		},
		"hangs": func(_ http.ResponseWriter, q *http.Request) bool {
			select {
			case <-gone:
			case <-q.Context().Done():
			}
			return false
		},
		"resets": func(w http.ResponseWriter, _ *http.Request) bool {
			if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
				conn.Close()
			}
			return false
		},
		"takes it, and the answer is lost": func(http.ResponseWriter, *http.Request) bool { return true },
	} {
		r.behave(behaviour)
		r.mute.Store(strings.HasPrefix(name, "takes"))
		before := r.requests()
		for range 5 {
			h.grow()
		}
		h.createJob()
		h.fed(nc, h.events)
		eventually(t, "the receiver that "+name+" is asked", func() bool { return r.requests() >= before+3 })
		if behaviour != nil {
			eventually(t, name+" is in the stats", func() bool { return b.Stats()[0].LastError != "" })
		}
		r.behave(nil)
		r.mute.Store(false)
		r.want(idsOf(readAll(t, nc), nil))
	}
	eventually(t, "the stats are well", func() bool {
		st := b.Stats()[0]
		return st.Delivered >= uint64(h.events) && st.Failed > 0 && st.LastError == "" && st.LastStatus == 204 && st.Lag == 0 && !st.Stopped
	})
}

// Bridges are killed at random, and two of them run at once: every event is delivered, and each for the first time in its
// place.
func TestKilledBridgesGoOnWhereTheyWere(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 2, 32)
	h.begin(nc, Limits{})
	run(t, h.feeder(connect(t, s)))
	r := newReceiver(t)
	r.behave(func(w http.ResponseWriter, _ *http.Request) bool {
		if rand.IntN(10) == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return false
		}
		return true
	})
	for range 6 {
		for range 15 {
			h.grow()
		}
		h.fed(nc, h.events)
		before := r.requests()
		one, two := bridge(t, s, hookTo(r)), bridge(t, s, hookTo(r))
		eventually(t, "events are sent", func() bool { return r.requests() > before+10 || len(r.taken()) == h.events })
		one.cfg.Conn.Close() // as a kill: nothing can be marked as done
		one.Close()
		two.cfg.Conn.Close()
		two.Close()
	}
	bridge(t, s, hookTo(r))
	r.want(idsOf(readAll(t, nc), nil))
	t.Logf("%d events in %d requests", h.events, r.requests())
}

func TestAWebhookGetsWhatItAskedFor(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 2, 33)
	h.begin(nc, Limits{})
	for range 60 {
		h.grow()
	}
	run(t, h.feeder(connect(t, s)))
	h.fed(nc, h.events)
	all := readAll(t, nc)
	middle := all[len(all)/2].number
	for i, c := range []struct {
		change func(*Webhook)
		want   func(stored) bool
	}{
		{func(w *Webhook) { w.Types = []string{"ExecutionsReleased", "JobCreated"} }, func(m stored) bool {
			n := m.event.GetEntry().GetEvent().Type()
			return n == "ExecutionsReleased" || n == "JobCreated"
		}},
		{func(w *Webhook) { w.Jobs = []string{"job-1"} }, func(m stored) bool { return m.event.JobId == "job-1" }},
		{func(w *Webhook) { w.Things = []string{thing(1)} }, func(m stored) bool { return m.event.GetEntry().GetEvent().Names(thing(1)) }},
		{func(w *Webhook) { w.Things, w.Jobs = []string{thing(3), thing(2)}, []string{"job-0"} }, func(m stored) bool {
			e := m.event.GetEntry().GetEvent()
			return m.event.JobId == "job-0" && (e.Names(thing(2)) || e.Names(thing(3)))
		}},
		{func(w *Webhook) { w.Start = FormatNumber(middle) }, func(m stored) bool { return m.number > middle }},
	} {
		r := newReceiver(t)
		b := bridge(t, s, hookTo(r, c.change, func(w *Webhook) { w.Name += string(rune('a' + i)) }))
		r.want(idsOf(all, c.want))
		eventually(t, "nothing is left", func() bool { return b.Stats()[0].Lag == 0 && b.Stats()[0].Delivered == uint64(len(r.taken())) })
		b.Close()
	}
	// A new one begins now.
	r := newReceiver(t)
	b := bridge(t, s, hookTo(r, func(w *Webhook) { w.Start = "" }))
	eventually(t, "its consumer is there", func() bool {
		_, _, err := b.look(t.Context(), b.hooks[0])
		return err == nil
	})
	h.createJob()
	h.fed(nc, h.events)
	news := readAll(t, nc)[len(all):]
	r.want(idsOf(news, nil))
}

// A filter is changed while an event is in hand that passed the old one: it stands where it stood, and gets what passes the
// new one.
func TestAWebhookWhoseFilterIsChangedGetsWhatPassesTheNewOne(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 2, 36)
	h.begin(nc, Limits{})
	for range 60 {
		h.grow()
	}
	run(t, h.feeder(connect(t, s)))
	h.fed(nc, h.events)
	all := readAll(t, nc)
	r := newReceiver(t)
	r.behave(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return false
	})
	for _, c := range []struct {
		change func(*Webhook)
		want   func(stored) bool // nil: it is killed with an event in hand
	}{
		{func(*Webhook) {}, nil},
		{func(w *Webhook) { w.Types = []string{"LogOpened"} }, nil},
		{func(w *Webhook) { w.Jobs = []string{"job-0"} }, nil},
		{func(w *Webhook) { w.Types = []string{"JobCreated"} }, func(m stored) bool { return m.event.GetEntry().GetEvent().Type() == "JobCreated" }},
	} {
		if c.want != nil {
			r.behave(nil)
		}
		before := r.requests()
		b := bridge(t, s, hookTo(r, c.change))
		if c.want != nil {
			r.want(idsOf(all, c.want))
			return
		}
		eventually(t, "an event is sent", func() bool { return r.requests() > before })
		b.cfg.Conn.Close() // as a kill: it is not given back
		b.Close()
	}
}

// 410 stops a webhook, and the event is sent again when the process is started again.
func TestAReceiverThatIsGoneIsAskedNoMore(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 1, 34)
	h.begin(nc, Limits{})
	run(t, h.feeder(connect(t, s)))
	h.fed(nc, h.events)
	r := newReceiver(t)
	r.behave(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusGone)
		return false
	})
	b := bridge(t, s, hookTo(r))
	eventually(t, "it is stopped", func() bool { return b.Stats()[0].Stopped && b.Stats()[0].LastStatus == 410 })
	asked := r.requests()   // once; more often if an answer was too late on a busy machine
	other := newReceiver(t) // by whom time is measured: it gets all meanwhile
	bridge(t, s, hookTo(other, func(w *Webhook) { w.Name = "other" }))
	other.want(idsOf(readAll(t, nc), nil))
	if n := r.requests(); n != asked {
		t.Errorf("it was asked %d times, %d of them since", n, n-asked)
	}
	b.Close()
	r.behave(nil)
	bridge(t, s, hookTo(r))
	r.want(idsOf(readAll(t, nc), nil))
}

func TestAWebhookWaitsForTheFeed(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 1, 35)
	r := newReceiver(t)
	bridge(t, s, hookTo(r)) // there is no feed yet
	h.begin(nc, Limits{})
	run(t, h.feeder(connect(t, s)))
	h.fed(nc, h.events)
	r.want(idsOf(readAll(t, nc), nil))
}

func TestAnEventIsSentToTry(t *testing.T) {
	r := newReceiver(t)
	if err := Try(t.Context(), hookTo(r)); err != nil || r.requests() != 1 {
		t.Errorf("%d requests: %v", r.requests(), err)
	}
	r.behave(func(w http.ResponseWriter, q *http.Request) bool {
		http.Redirect(w, q, "https://elsewhere.example/", http.StatusFound)
		return false
	})
	if err := Try(t.Context(), hookTo(r)); err == nil || err.Error() != "the receiver answered 302 Found" {
		t.Errorf("a redirect: %v", err)
	}
	r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := Try(ctx, hookTo(r)); err == nil || strings.Contains(err.Error(), "/drover") {
		t.Errorf("nobody there: %v", err)
	}
}

// Both secrets sign while receivers change from one to the other.
func TestThePreviousSecretSignsToo(t *testing.T) {
	r := newReceiver(t)
	w := hookTo(r, func(w *Webhook) {
		w.Previous, w.Secret = w.Secret, "whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32))
	})
	if err := Try(t.Context(), w); err != nil {
		t.Error(err)
	}
}

func TestWhatIsWrongInTheFileIsNamed(t *testing.T) {
	const good = `"name":"a","url":"https://h.example/x","secret":"` + testSecret + `"`
	if hooks, err := ParseWebhooks([]byte(`{"webhooks":[{` + good + `,"types":["JobCompleted"],"start":"feed@12"}]}`)); err != nil || len(hooks) != 1 {
		t.Fatal(hooks, err)
	}
	for text, want := range map[string]string{
		``:                  "EOF",
		`{}`:                "webhooks: there is none",
		`{"webhooks":[]}`:   "webhooks: there is none",
		`{"webhook":[]}`:    `unknown field "webhook"`,
		`{"webhooks":[]} x`: "behind the object",
		`{"webhooks":[{` + good + `},{` + good + `}]}`:                                         `webhooks[1]: name: "a" is there twice`,
		`{"webhooks":[{` + good + `,"sekret":"x"}]}`:                                           "unknown field",
		`{"webhooks":[{` + good + `,"name":"a b"}]}`:                                           "webhooks[0]: name",
		`{"webhooks":[{` + good + `,"url":"http://h.example/x"}]}`:                             "allowHttp",
		`{"webhooks":[{` + good + `,"url":"ftp://h.example/x"}]}`:                              "url: the scheme",
		`{"webhooks":[{` + good + `,"url":"https:///x"}]}`:                                     "url: https://HOST",
		`{"webhooks":[{` + good + `,"url":"https://h.example/secret token%"}]}`:                "url: it cannot be parsed",
		`{"webhooks":[{` + good + `,"secret":""}]}`:                                            "secret: it is not whsec_",
		`{"webhooks":[{` + good + `,"secret":"whsec_c2hvcnQ="}]}`:                              "secret: it is not whsec_",
		`{"webhooks":[{` + good + `,"previousSecret":"x"}]}`:                                   "previousSecret: it is not whsec_",
		`{"webhooks":[{` + good + `,"types":["JobPainted"]}]}`:                                 `types: there is no event "JobPainted"`,
		`{"webhooks":[{` + good + `,"jobs":["a.b"]}]}`:                                         "jobs: ",
		`{"webhooks":[{` + good + `,"things":["a b"]}]}`:                                       "things: ",
		`{"webhooks":[{` + good + `,"start":"yesterday"}]}`:                                    "start: ",
		`{"webhooks":[{` + good + `,"start":"feed@-1"}]}`:                                      "start: ",
		`{"webhooks":[{` + good + `,"jobs":["j` + strings.Repeat(`","j`, filtersMax) + `"]}]}`: "101 combinations",
	} {
		if hooks, err := ParseWebhooks([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nis read as %v: %v, want %q", text, hooks, err, want)
		} else if strings.Contains(err.Error(), "secret token") {
			t.Errorf("%v shows the URL", err)
		}
	}
	for _, local := range []string{"http://127.0.0.1:1/x", "http://localhost/x", "http://[::1]/x"} {
		if _, err := ParseWebhooks([]byte(`{"webhooks":[{` + good + `,"url":"` + local + `"}]}`)); err != nil {
			t.Errorf("%s: %v", local, err)
		}
	}
	if _, err := ParseWebhooks([]byte(`{"webhooks":[{` + good + `,"url":"http://h.example/x","allowHttp":true}]}`)); err != nil {
		t.Error(err)
	}
}

func TestTheFileIsForItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "webhooks.json")
	if err := os.WriteFile(path, []byte(`{"webhooks":[{"name":"a","url":"https://h.example/x","secret":"`+testSecret+`"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if hooks, err := ReadWebhooks(path); err != nil || hooks[0].Name != "a" {
		t.Errorf("%v: %v", hooks, err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadWebhooks(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("others may read it: %v", err)
	}
}

func FuzzParseWebhooks(f *testing.F) {
	f.Add([]byte(`{"webhooks":[{"name":"a","url":"https://h.example/x","secret":"` + testSecret + `","types":["JobCompleted"]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		hooks, err := ParseWebhooks(text)
		for _, w := range hooks {
			if err == nil && len(w.keys) == 0 {
				t.Error("a webhook that signs nothing")
			}
		}
	})
}
