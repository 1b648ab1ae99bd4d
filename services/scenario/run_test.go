package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/sim/stage"
)

// run is a system in a test.
type run struct {
	t     *testing.T
	s     *System
	heard int
}

func newRun(t *testing.T) *run {
	t.Helper()
	return newRunWith(t, stage.DefaultLimits())
}

func newRunWith(t *testing.T, limits stage.Limits) *run {
	t.Helper()
	s, err := NewSystem(limits)
	if err != nil {
		t.Fatal(err)
	}
	return &run{t: t, s: s}
}

// things makes things by name.
func (r *run) things(names ...string) {
	r.t.Helper()
	var list []string
	for _, n := range names {
		list = append(list, fmt.Sprintf(`{"name":%q}`, n))
	}
	r.bus("targeting create-things", `{"things":[%s]}`, strings.Join(list, ","))
}

// fleet makes things lamp-0000 … and the group lamps.
func (r *run) fleet(n int) {
	r.t.Helper()
	p := &player{s: r.s, silent: map[string]bool{}}
	if err := p.things(fmt.Sprintf("lamps lamp-0000..%04d", n-1)); err != nil {
		r.t.Fatal(err)
	}
}

func lamp(n int) string { return fmt.Sprintf("lamp-%04d", n) }

// ask gives a command to the bus, or asks it, and lets what follows at once happen.
func (r *run) ask(name, format string, args ...any) (proto.Message, error) {
	r.t.Helper()
	o, ok := operations[name]
	if !ok {
		r.t.Fatalf("the bus has no %q", name)
	}
	m := o.request()
	if err := readJSON(fmt.Sprintf(format, args...), m); err != nil {
		r.t.Fatal(err)
	}
	reply, err := o.do(r.s, m)
	r.advance(momentMs)
	return reply, err
}

func (r *run) bus(name, format string, args ...any) proto.Message {
	r.t.Helper()
	reply, err := r.ask(name, format, args...)
	if err != nil {
		r.t.Fatalf("%s is refused: %v", name, err)
	}
	return reply
}

// refused gives a command that must be refused with that code.
func (r *run) refused(code v1.RefusalCode, name, format string, args ...any) *v1.Refusal {
	r.t.Helper()
	_, err := r.ask(name, format, args...)
	var refusal *v1.Refusal
	if !errors.As(err, &refusal) || refusal.Code != code {
		r.t.Errorf("%s with %.200s: %v, not refused with %s", name, fmt.Sprintf(format, args...), err, code.Word())
		return &v1.Refusal{}
	}
	return refusal
}

func (r *run) advance(ms int64) {
	r.t.Helper()
	if err := r.s.AdvanceTo(r.s.now + ms); err != nil {
		r.t.Fatal(err)
	}
}

func (r *run) at(story string) {
	r.t.Helper()
	ms, err := parseClock(story)
	if err == nil {
		err = r.s.AdvanceTo(ms)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// answer is what a device is told.
type answer struct {
	t     *testing.T
	topic string
	text  string
	json  map[string]any
}

func parseAnswer(t *testing.T, topic string, data []byte) answer {
	t.Helper()
	a := answer{t: t, topic: topic, text: string(data)}
	if err := json.Unmarshal(data, &a.json); err != nil {
		t.Fatalf("%s %s: %v", topic, data, err)
	}
	return a
}

// device publishes to …/jobs/<op>.
func (r *run) device(thing, op, payload string) answer {
	r.t.Helper()
	topic, data, err := r.s.Device(topicPrefix+thing+"/jobs/"+op, []byte(payload), thing)
	if err != nil {
		r.t.Fatal(err)
	}
	return parseAnswer(r.t, strings.TrimPrefix(topic, topicPrefix+thing+"/jobs/"+op+"/"), data)
}

// accepted is device, with an answer that must be accepted.
func (r *run) accepted(thing, op, payload string) answer {
	r.t.Helper()
	a := r.device(thing, op, payload)
	if a.topic != "accepted" {
		r.t.Fatalf("%s publishes %s to %s and hears %s %s", thing, payload, op, a.topic, a.text)
	}
	return a
}

// rejected is device, with an answer that must be a rejection with that code.
func (r *run) rejected(code, thing, op, payload string) answer {
	r.t.Helper()
	a := r.device(thing, op, payload)
	if a.topic != "rejected" || a.json["code"] != code {
		r.t.Errorf("%s publishes %s to %s and hears %s %s, not %s", thing, payload, op, a.topic, a.text, code)
	}
	return a
}

// http asks as a device over HTTP, and must be answered with that status and type of error.
func (r *run) http(status int, errorType, method, target, body string) answer {
	r.t.Helper()
	a, err := r.s.HTTP(method, target, []byte(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if a.Status != status || a.ErrorType != errorType {
		r.t.Errorf("%s %s %s is answered with %d %s %s, not with %d %s", method, target, body, a.Status, a.ErrorType, a.Body, status, errorType)
	}
	return parseAnswer(r.t, target, a.Body)
}

// at is a value within: "execution.status".
func (a answer) at(path string) any {
	var v any = a.json
	for _, name := range strings.Split(path, ".") {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

func (a answer) is(path string, want any) {
	a.t.Helper()
	if n, ok := want.(int); ok {
		want = float64(n)
	}
	if got := a.at(path); fmt.Sprint(got) != fmt.Sprint(want) {
		a.t.Errorf("%s is %v, not %v, in %s", path, got, want, a.text)
	}
}

func (a answer) keys(want ...string) {
	a.t.Helper()
	if got := slices.Sorted(maps.Keys(a.json)); fmt.Sprint(got) != fmt.Sprint(want) {
		a.t.Errorf("it has %v, not %v: %s", got, want, a.text)
	}
}

// hears compares what a device was told since it was asked last with topics behind …/jobs/.
func (r *run) hears(thing string, want ...string) (messages []answer) {
	r.t.Helper()
	var got []string
	for _, m := range r.s.Told[r.heard:] {
		if to, op := topicParts(m.Topic); to == thing {
			got = append(got, op)
			messages = append(messages, parseAnswer(r.t, op, m.Payload))
		}
	}
	r.heard = len(r.s.Told)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.t.Errorf("%s hears %v, not %v", thing, got, want)
	}
	return messages
}

// job is what the read models say of one.
func (r *run) job(jobID string) *v1.DescribeJobReply {
	r.t.Helper()
	return r.bus("jobs describe", `{"jobId":%q}`, jobID).(*v1.DescribeJobReply)
}

// status is a job's, as AWS spells it.
func (r *run) status(jobID, want string) {
	r.t.Helper()
	if got := r.job(jobID).GetJob().GetStatus().Word(); got != want {
		r.t.Errorf("%s: job %s is %s, not %s", clock(r.s.now), jobID, got, want)
	}
}

// counts are the attempts of a job in each status: "SUCCEEDED 2, FAILED 1".
func (r *run) counts(jobID, want string) {
	r.t.Helper()
	if got := counted(r.job(jobID)); got != want {
		r.t.Errorf("%s: job %s counts %s, not %s", clock(r.s.now), jobID, got, want)
	}
}

func counted(d *v1.DescribeJobReply) string {
	var out []string
	for _, c := range d.GetCounts().GetAttempts() {
		out = append(out, fmt.Sprintf("%s %d", c.Status.Word(), c.Count))
	}
	return strings.Join(out, ", ")
}

// create makes a job of any JSON fields beside its id and a document.
func (r *run) create(jobID, fields string) {
	r.t.Helper()
	r.bus("job create", `{"jobId":%q,"document":{"do":%q},%s}`, jobID, jobID, fields)
}

// homeOf is the log of a thing's home.
func (r *run) homeOf(thing string) id.Log { return id.ExecutionLog(id.HomeOf(thing, homes)) }

func (r *run) start(log id.Log) {
	r.t.Helper()
	if err := r.s.Start(log); err != nil {
		r.t.Fatal(err)
	}
	r.advance(momentMs)
}

// queued counts the executions that were queued since it was called last.
func queued(r *run) (n int) {
	r.t.Helper()
	eachEvent(r, func(e *v1.Event) {
		if e.GetExecutionQueued() != nil {
			n++
		}
	})
	return n
}

// queuedBy tells after each of so many steps of time how many executions were queued in it.
func (r *run) queuedBy(ms int64, steps int, tell func(n int)) {
	r.t.Helper()
	for range steps {
		r.advance(ms)
		tell(queued(r))
	}
}

// firstEvent is the first of a kind among those that nobody has looked at.
func firstEvent[E comparable](r *run, of func(*v1.Event) E) (first E) {
	r.t.Helper()
	var none E
	eachEvent(r, func(e *v1.Event) {
		if x := of(e); x != none && first == none {
			first = x
		}
	})
	return first
}

func eachEvent(r *run, see func(*v1.Event)) {
	r.t.Helper()
	commits, err := r.s.Commits()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, c := range commits {
		for _, e := range c.Entries {
			see(e.Event)
		}
	}
}
