// Package scenario plays stories on the whole system: every service in one goroutine on a virtual clock, spoken to by
// the bus's commands and in the devices' own wire shapes.
//
// It promises that a story is played the same every time, that everything that follows from a line has happened before
// the next is read, and that time moves only where the story says so. What it writes beside the story (answers,
// messages to devices, events with their reasons) is all that happened. It leaves the broker, crashes and concurrency
// to services/sim and to the tests of the running system.
//
// A story is a text. Its first line says what it shows; lines that begin with # are for people. The others:
//
//	reaches: 4.5/CancelJob force/IN_PROGRESS     what of the specification it shows; several are separated by ";"
//	shows: AbortTriggered JobStopped             only these events are written; all but bookkeeping where it is absent
//	limits: aws                                  everything is held to AWS's limits, and not to the wider ones
//	limits: 2 jobs at work                       no more jobs are at work at a time
//	things lamps lamp-000..149                   makes things, and a group of them; nobody hears what they are told
//	> job create {"jobId":"fw-1",…}              a command or a question of the bus, by its name there
//	device lamp-1 start-next {"clientToken":…}   a device publishes to …/jobs/start-next
//	devices lamp-000..019 fw-1/update {…}        several do; the answers are counted
//	http POST /things/lamp-1/jobs/fw-1 {…}       a device asks over HTTP
//	advance 7m                                   time passes
//	at 00:12                                     time passes until then; hours may be more than 24
//	stop execution.1, start execution.1          the owner of a log goes away, and comes back
//	count fw-1                                   how many executions stand where
//
// Behind each line stand what it led to, as Play has written it: "<" before answers and messages, "|" before events.
package scenario

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/sim/stage"
)

// Result is a story with what happened behind each of its lines.
type Result struct {
	Text string
	// Reaches is what the story says that it shows; Cells are the transitions and refusals that it came to.
	Reaches []string
	Cells   map[Cell]bool
	// Logs are all logs in the end.
	Logs []*eventstore.Log
}

// bookkeeping is not written unless a story names it.
var bookkeeping = []string{"LogOpened", "Owned", "Observed", "JobOpened", "JobLearned", "SelectionFinished", "ThingsWaiting", "WaitingComplete"}

// momentMs is how much time a line may take: what a service does in two steps it does a millisecond apart.
const momentMs = 20

// player is a story being played.
type player struct {
	s       *System
	out     strings.Builder
	tell    teller
	reach   *reach
	shows   []string
	silent  map[string]bool // things whose messages nobody hears
	reaches []string
	told    int
	facts   []string // events that are not written out yet
}

// Play plays a story anew. An error names the line that cannot be played.
func Play(story string) (*Result, error) {
	limits, err := readLimits(story)
	if err != nil {
		return nil, err
	}
	s, err := NewSystem(limits)
	if err != nil {
		return nil, err
	}
	p := &player{s: s, tell: teller{jobs: map[uint64]string{}}, reach: newReach(), silent: map[string]bool{}}
	if err := p.happened(); err != nil {
		return nil, err
	}
	for n, line := range strings.Split(strings.TrimRight(story, "\n"), "\n") {
		if strings.HasPrefix(line, "<") || strings.HasPrefix(line, "|") {
			continue
		}
		p.out.WriteString(line + "\n")
		if err := p.line(strings.TrimSpace(line)); err != nil {
			return nil, fmt.Errorf("line %d, %q: %w", n+1, line, err)
		}
	}
	return &Result{Text: p.out.String(), Reaches: p.reaches, Cells: p.reach.Cells, Logs: s.Logs()}, nil
}

// readLimits finds the line of the limits, if there is one.
func readLimits(story string) (stage.Limits, error) {
	limits := stage.DefaultLimits()
	for line := range strings.Lines(story) {
		words, found := strings.CutPrefix(strings.TrimSpace(line), "limits: ")
		if !found {
			continue
		}
		if words == "aws" {
			return stage.AWSLimits(), nil
		}
		n, atWork := strings.CutSuffix(words, " jobs at work")
		most, err := strconv.ParseUint(n, 10, 32)
		if err != nil || !atWork || most == 0 {
			return limits, fmt.Errorf("%q are no limits", words)
		}
		limits.Rollout.ConcurrentMax = most
	}
	return limits, nil
}

func (p *player) line(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	var err error
	switch word {
	case "", "#", "limits:":
		return nil
	case "reaches:":
		for _, r := range strings.Split(rest, ";") {
			p.reaches = append(p.reaches, strings.TrimSpace(r))
		}
		return nil
	case "shows:":
		p.shows = strings.Fields(rest)
		return nil
	case ">":
		err = p.command(rest)
	case "device":
		err = p.device(rest)
	case "devices":
		err = p.devices(rest)
	case "http":
		err = p.http(rest)
	case "things":
		err = p.things(rest)
	case "advance":
		var d time.Duration
		if d, err = time.ParseDuration(rest); err == nil {
			err = p.s.AdvanceTo(p.s.now + d.Milliseconds())
		}
	case "at":
		var ms int64
		if ms, err = parseClock(rest); err == nil {
			err = p.s.AdvanceTo(ms)
		}
	case "stop", "start":
		var log id.Log
		if log, err = id.ParseLog(rest); err != nil {
			return err
		}
		if word == "stop" {
			p.s.Stop(log)
			return nil
		}
		err = p.s.Start(log)
	case "count":
		p.count(rest)
	default:
		return fmt.Errorf("%q is no word of a story", word)
	}
	if err != nil {
		return err
	}
	return p.happened()
}

// parseClock reads 00:05, 00:05:30 or 26:00 as a time of the story.
func parseClock(s string) (int64, error) {
	ms, unit := MidnightMs, int64(3_600_000)
	for _, part := range strings.Split(s, ":") {
		n, err := strconv.ParseInt(part, 10, 32)
		if err != nil || unit < 1000 {
			return 0, fmt.Errorf("%q is no time", s)
		}
		ms += n * unit
		unit /= 60
	}
	return ms, nil
}

func (p *player) print(mark, format string, args ...any) {
	fmt.Fprintf(&p.out, mark+" "+format+"\n", args...)
}

// command gives a command, or asks a question, of the bus.
func (p *player) command(rest string) error {
	name, body := rest, ""
	if i := strings.Index(rest, "{"); i >= 0 {
		name, body = strings.TrimSpace(rest[:i]), rest[i:]
	}
	o, ok := operations[name]
	if !ok {
		return fmt.Errorf("the bus has no operation %q", name)
	}
	m := o.request()
	if err := readJSON(body, m); err != nil {
		return err
	}
	before := p.canceling(m)
	reply, err := o.do(p.s, m)
	p.canceled(m, before, err)
	if err := p.moment(); err != nil {
		return err
	}
	refusal, refused := err.(*v1.Refusal)
	switch {
	case err == v1.ErrDropped:
		p.print("<", "nobody answers")
	case refused && refusal.Field != "":
		p.print("<", "refused %s, %s: %s", refusal.Code.Word(), refusal.Field, refusal.Message)
	case refused:
		p.print("<", "refused %s: %s", refusal.Code.Word(), refusal.Message)
	case err != nil:
		return err
	default:
		p.print("<", "%s", strings.TrimSpace("accepted "+p.tell.message(reply.ProtoReflect())))
	}
	return nil
}

// canceling says where what is to be canceled stands.
func (p *player) canceling(m proto.Message) string {
	if c, ok := m.(*v1.CancelExecution); ok {
		return p.reach.status(c.JobId, c.Thing)
	}
	return ""
}

func (p *player) canceled(m proto.Message, before string, err error) {
	c, ok := m.(*v1.CancelExecution)
	var refusal *v1.Refusal
	if !ok || errors.As(err, &refusal) && refusal.Code == v1.RefusalCode_REFUSAL_CODE_VERSION_MISMATCH {
		return
	}
	by := "cancel"
	if c.Force {
		by = "force"
	}
	p.reach.Cells[Cell{before, v1.ExecutionStatus_EXECUTION_STATUS_CANCELED.Word(), by, err != nil}] = true
}

// things makes things and a group: "lamps lamp-000..149".
func (p *player) things(rest string) error {
	group, names, err := span(rest)
	if err != nil {
		return err
	}
	var all []*v1.NewThing
	for _, name := range names {
		p.silent[name] = true
		all = append(all, &v1.NewThing{Name: name})
	}
	for _, cmd := range []proto.Message{&v1.CreateGroup{Group: group}, &v1.CreateThings{}, &v1.AddThings{Group: group}} {
		for part := range slices.Chunk(all, 1000) {
			switch c := cmd.(type) {
			case *v1.CreateThings:
				c.Things = part
			case *v1.AddThings:
				c.Things = nil
				for _, t := range part {
					c.Things = append(c.Things, t.Name)
				}
			}
			if _, err := p.s.Do(id.TargetingLog, cmd, "operator"); err != nil {
				return err
			}
		}
	}
	// Nobody needs to read how a fleet was made.
	_, err = p.s.Commits()
	return err
}

// span reads "word prefix-000..149" as the word and the names.
func span(s string) (word string, names []string, err error) {
	word, rest, _ := strings.Cut(s, " ")
	first, last, ok := strings.Cut(strings.TrimSpace(rest), "..")
	prefix := strings.TrimRight(first, "0123456789")
	from, err1 := strconv.Atoi(first[len(prefix):])
	to, err2 := strconv.Atoi(last)
	if !ok || err1 != nil || err2 != nil {
		return "", nil, fmt.Errorf("%q is no row of names: lamp-000..149", rest)
	}
	for n := from; n <= to; n++ {
		names = append(names, fmt.Sprintf("%s%0*d", prefix, len(first)-len(prefix), n))
	}
	return word, names, nil
}

// count tells where the executions of a job stand, over all attempts' last.
func (p *player) count(jobID string) {
	n := map[v1.ExecutionStatus]int{}
	for _, a := range p.reach.jobs[p.reach.ids[jobID]] {
		n[a.status]++
	}
	var out []string
	for s := v1.ExecutionStatus_EXECUTION_STATUS_QUEUED; s <= v1.ExecutionStatus_EXECUTION_STATUS_REMOVED; s++ {
		if n[s] > 0 {
			out = append(out, fmt.Sprintf("%s %d", s.Word(), n[s]))
		}
	}
	p.print("|", "%s: %s", jobID, strings.Join(out, ", "))
}

// moment lets what follows at once happen, and takes in what was decided.
func (p *player) moment() error {
	for end := p.s.now + momentMs; ; {
		next := p.s.next()
		if next > end {
			break
		}
		if err := p.s.AdvanceTo(next); err != nil {
			return err
		}
	}
	commits, err := p.s.Commits()
	if err != nil {
		return err
	}
	// By time, for people; there is one clock, so that no effect comes before its cause.
	slices.SortStableFunc(commits, func(a, b *eventstore.Commit) int { return cmp.Compare(a.AtMs, b.AtMs) })
	for _, c := range commits {
		p.reach.commit(c)
		for _, e := range c.Entries {
			name := e.Event.Type()
			line := p.tell.event(e)
			if p.shows == nil && !slices.Contains(bookkeeping, name) || slices.Contains(p.shows, name) {
				p.facts = append(p.facts, fmt.Sprintf("%s %-11s %s", clock(c.AtMs), c.Log, line))
			}
		}
	}
	return nil
}

// happened writes what was told and what was decided since it was called last.
func (p *player) happened() error {
	if err := p.moment(); err != nil {
		return err
	}
	for _, m := range p.s.Told[p.told:] {
		thing, op := topicParts(m.Topic)
		if !p.silent[thing] {
			p.print("<", "%s %s %s", thing, op, m.Payload)
		}
	}
	p.told = len(p.s.Told)
	for _, f := range p.facts {
		p.print("|", "%s", f)
	}
	p.facts = nil
	return nil
}
