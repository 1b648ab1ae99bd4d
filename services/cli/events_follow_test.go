package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/feed"
)

// fed is a message of the feed.
func fed(number uint64, at string, rest string) *v1.FeedMessage {
	return &v1.FeedMessage{Number: number, Event: []byte(`{"specversion":"1.0","id":"` + at + `","source":"s","time":"2026-11-25T12:00:00.000Z",` + rest + `}`)}
}

const (
	created = `"type":"drover.job.JobCreated","jobid":"fw-1","cause":"command","causeref":"c1","causeby":"client","causecommand":"CreateJob","causereply":"AQI=",` +
		`"data":{"job":65536,"jobId":"fw-1","targets":["thing/press-07"],"document":"{}"}}`
	changed = `"type":"drover.execution.ExecutionChanged","jobid":"fw-1","thing":"press-07","cause":"command","reason":"REPORTED","reasontext":"x",` +
		`"data":{"job":65536,"thing":"press-07","executionNumber":1,"from":"QUEUED","to":"IN_PROGRESS","versionNumber":2}}`
)

// followed serves ReadFeed with one page after another, then nothing for ever; it ends the command when all were asked for.
func followed(s *system, stop context.CancelFunc, pages ...func(*v1.ReadFeed) (*v1.ReadFeedReply, error)) {
	var mu sync.Mutex
	answer(s, bus.ReadFeed, func(q *v1.ReadFeed) (*v1.ReadFeedReply, error) {
		mu.Lock()
		defer mu.Unlock()
		if len(pages) == 0 {
			stop()
			return &v1.ReadFeedReply{Next: q.GetAfter(), End: true}, nil
		}
		p := pages[0]
		pages = pages[1:]
		return p(q)
	})
}

func page(r *v1.ReadFeedReply) func(*v1.ReadFeed) (*v1.ReadFeedReply, error) {
	return func(*v1.ReadFeed) (*v1.ReadFeedReply, error) { return r, nil }
}

// follow runs a command that follows until the pages are over.
func (s *system) follow(pages []func(*v1.ReadFeed) (*v1.ReadFeedReply, error), args ...string) result {
	s.t.Helper()
	ctx, stop := context.WithTimeout(s.t.Context(), 60*time.Second)
	defer stop()
	followed(s, stop, pages...)
	var r result
	var out, errs strings.Builder
	r.status = Main(ctx, append([]string{"--server", s.url}, args...), strings.NewReader(""), &out, &errs)
	r.out, r.err = out.String(), errs.String()
	return r
}

func strip(text string) string { return strings.TrimSuffix(text, "}") }

// A line is the same whether it comes from a log or from the feed.
func TestFollowPrintsLinesAsTheLogsDo(t *testing.T) {
	events := []*v1.FeedMessage{fed(7, "job@5.0", strip(created)), fed(8, "execution.0@9.2", strip(changed))}
	var recorded []*v1.RecordedEvent
	for _, m := range events {
		e, err := feed.Decode(m.Event)
		if err != nil {
			t.Fatal(err)
		}
		recorded = append(recorded, e)
	}
	for _, output := range []string{"table", "json"} {
		s := newSystem(t)
		reply(s, bus.ReadEvents, &v1.ReadEventsReply{Events: recorded, End: true})
		logs := s.run("events", "-o", output)
		r := s.follow([]func(*v1.ReadFeed) (*v1.ReadFeedReply, error){page(&v1.ReadFeedReply{Messages: events, Next: 8, End: true})}, "events", "--follow", "-o", output)
		want := logs.out
		if output == "json" {
			lines := strings.Split(logs.out, "\n")
			want = strings.TrimSuffix(lines[0], "}") + ",\"feed\":7}\n" + strings.TrimSuffix(lines[1], "}") + ",\"feed\":8}\n"
		}
		if r.out != want || logs.out == "" {
			t.Errorf("followed:\n%sfrom the logs:\n%s", r.out, want)
		}
		s.want(r, exitDone, "--since feed@8 goes on from here")
	}
}

func TestFollowAsksForWhatIsMissing(t *testing.T) {
	s := newSystem(t)
	reply(s, bus.DescribeJob, &v1.DescribeJobReply{Job: aJob()})
	r := s.follow([]func(*v1.ReadFeed) (*v1.ReadFeedReply, error){
		page(&v1.ReadFeedReply{Messages: []*v1.FeedMessage{fed(40, "job@5.0", strip(created))}, Next: 41, Expired: 5}),
		func(*v1.ReadFeed) (*v1.ReadFeedReply, error) { // restarted
			return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "starting")
		},
		// Made anew: new numbers, the same event, and one more.
		page(&v1.ReadFeedReply{Messages: []*v1.FeedMessage{fed(1001, "job@5.0", strip(created)), fed(1002, "job@5.1", strip(created))}, Next: 1002, End: true, Expired: 959}),
	}, "events", "--follow", "--since", "feed@34", "--job", "fw-1", "--thing", "press-07")
	s.want(r, exitDone, "feed@34 and feed@40 is no longer in the feed", "drover: starting; waiting", "feed@41 and feed@1001 is no longer", "--since feed@1002 goes on")
	if strings.Count(r.out, "JobCreated") != 2 || !strings.Contains(r.out, "job@5.1") {
		t.Errorf("it printed\n%s", r.out)
	}
	var asked []*v1.ReadFeed
	for _, m := range s.requests() {
		if q, ok := m.(*v1.ReadFeed); ok {
			asked = append(asked, q)
		}
	}
	base := &v1.ReadFeed{JobId: "fw-1", Thing: "press-07", Limit: 1000, After: 34}
	for i, change := range []func(q *v1.ReadFeed){func(*v1.ReadFeed) {}, func(q *v1.ReadFeed) { q.After = 41 }, func(*v1.ReadFeed) {}, func(q *v1.ReadFeed) { q.After, q.WaitMs = 1002, 5000 }} {
		change(base)
		if !proto.Equal(asked[i], base) {
			t.Errorf("question %d is %v, want %v", i, asked[i], base)
		}
	}
}

func TestFollowIsRefused(t *testing.T) {
	s := newSystem(t)
	s.want(s.run("events", "--follow"), exitUnavailable, "nobody serves feed read")
	answer(s, bus.DescribeJob, func(*v1.DescribeJob) (*v1.DescribeJobReply, error) {
		return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "jobId", "there is no job fw-9")
	})
	for args, want := range map[string]string{
		"events --follow --job fw-9":                        "there is no job fw-9",
		"events --since feed@12":                            "--follow reads",
		"events --follow --since feed@x":                    "feed@NUMBER",
		"events --follow --since feed@1 --since rollout@12": "no other position",
		"events --follow --since nothing@1":                 "LOG@NUMBER",
	} {
		s.want(s.run(strings.Fields(args)...), exitRefused, want)
	}
	answer(s, bus.ReadFeed, func(*v1.ReadFeed) (*v1.ReadFeedReply, error) {
		return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "after", "the feed ends at feed@3, before feed@12")
	})
	s.want(s.run("events", "--follow", "--since", "feed@12"), exitRefused, "ends at feed@3")
}

// The feed and this program show an event alike: the feed has an encoder of its own, for speed.
func TestTheFeedShowsEventsAsEventsDoes(t *testing.T) {
	fields := (*v1.Event)(nil).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		e := &v1.Event{}
		body := e.ProtoReflect().Mutable(fields.Get(i)).Message()
		fill(body, 0)
		want, err := marshal(viewReflect(body))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(feed.AppendData(nil, e)); got != string(want) {
			t.Errorf("the feed has %s\nevents has %s", got, want)
		}
	}
}

// fill sets every field of a message to something.
func fill(m protoreflect.Message, depth int) {
	switch x := m.Interface().(type) {
	case *v1.Position:
		proto.Merge(x, &v1.Position{Service: v1.Service_SERVICE_EXECUTION, Home: 3, Number: 12, Entry: 4})
		return
	case *v1.Target:
		x.Target = &v1.Target_Group{Group: "press-line"}
		return
	}
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		if f.IsList() {
			list := m.Mutable(f).List()
			for n := range 2 {
				list.Append(filled(f, list.NewElement(), depth, n))
			}
			continue
		}
		m.Set(f, filled(f, m.NewField(f), depth, 0))
	}
}

func filled(f protoreflect.FieldDescriptor, zero protoreflect.Value, depth, n int) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(`{"a": "<é>\u2028"}`))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(fmt.Sprintf("%s %d <\"\n é\u2028>", f.Name(), n))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(7)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(1 << 60)
	case protoreflect.Int64Kind, protoreflect.Sint64Kind:
		return protoreflect.ValueOfInt64(noon + int64(f.Number()))
	case protoreflect.MessageKind:
		fill(zero.Message(), depth+1)
	}
	return zero
}

func TestWebhookCheckSendsAnEvent(t *testing.T) {
	var asked []string
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path+" "+r.Header.Get("webhook-signature")[:3])
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	defer receiver.Close()
	file := func(paths ...string) string {
		type hook map[string]any
		var list []hook
		for _, p := range paths {
			list = append(list, hook{"name": strings.Trim(p, "/"), "url": receiver.URL + p, "secret": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="})
		}
		text, err := json.Marshal(map[string]any{"webhooks": list})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "webhooks.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	r := runIn(t, "", "webhook", "check", file("/good"))
	if r.status != exitDone || !strings.Contains(r.out, "good") || !strings.Contains(r.out, "ok") {
		t.Errorf("%+v", r)
	}
	r = runIn(t, "", "webhook", "check", file("/good", "/bad"), "-o", "json")
	if r.status != exitFailed || !strings.Contains(r.out, `"error":"the receiver answered 418 I'm a teapot"`) || !strings.Contains(r.err, "1 webhook did not") {
		t.Errorf("%+v", r)
	}
	if got := strings.Join(asked, ", "); got != "/good v1,, /good v1,, /bad v1," {
		t.Errorf("asked: %s", got)
	}
	if r = runIn(t, "", "webhook", "check", file("/bad"), "--dry-run"); r.status != exitDone || len(asked) != 3 {
		t.Errorf("%+v", r)
	}
	if r = runIn(t, "", "webhook", "check", file("/b d")); r.status != exitFailed || !strings.Contains(r.err, "webhooks[0]: name") {
		t.Errorf("%+v", r)
	}
}
