// Package agent is what a good device does, without a network and without a clock.
//
// It asks for its next job when it connects, when it is told of a new head, and after each end; it runs what it is
// given, reports, waits for the answer, and repeats an unanswered request with the same token. It promises that
//
//  1. an execution (job, number) is started at most once ever: the Started fact is journaled before the work begins,
//     and an agent that was told its old facts (Recall) reports their outcome instead of working again;
//  2. at most one request is under way at a time;
//  3. the same inputs at the same times give the same effects.
//
// What a device cannot know it treats as a hint: notify-next may be late, repeated or lost, so it only makes an idle
// agent ask. An execution that was canceled under its hands it works to the end, as one cannot stop halfway through
// writing a firmware, and learns of the cancel from the rejected report.
//
// The caller carries out the Effects (loadtest/fleet does, over MQTT and NATS) and calls no two methods at once.
package agent

import (
	"strconv"
	"time"
)

// Config says who a device is and how it behaves.
type Config struct {
	Thing string
	// Boot makes the tokens of this life differ from those of the one before.
	Boot uint64
	// Outcome is how the work of a job ends: Succeeded or Failed. Default: Succeeded.
	Outcome func(job string) Status
	// Work is how long a job takes. Progress reports are sent meanwhile, evenly spaced.
	Work     time.Duration
	Progress int
	// Patience is how long the first answer is waited for; each repeat waits twice as long, at most 8 times that.
	// Default 2 s.
	Patience time.Duration
	// Poll is after which time an idle agent asks again unasked; 0 is never, so that a lost notice is seen as such.
	Poll time.Duration
}

// Effects are what a step asks the caller to do. Facts are journaled, in order, before any request is sent.
type Effects struct {
	Facts    []Fact
	Requests []Request
	// Wake is when Tick is due; 0 is never.
	Wake int64
}

// Agent is one device. Times given to it are nanoseconds of a clock that never goes back.
type Agent struct {
	config Config
	known  map[execution]run
	online bool
	idle   bool
	ended  int
	tokens uint64

	current *work    // what is being worked on
	waiting *request // what waits for its answer, or for a connection
	askAt   int64    // with neither: when to ask for the next job; 0 is when told
	again   bool     // a notice came while the question was under way
	out     Effects
}

type execution struct {
	job    string
	number uint64
}

// run is what is remembered of an execution for ever.
type run struct {
	started bool
	outcome Status // empty: not finished
}

type work struct {
	execution
	version uint64
	began   int64
	steps   int  // progress reports made
	report  bool // finished; nothing is left but to report it
	details map[string]string
}

type request struct {
	Request
	sent   int64 // first; 0 is not yet
	tries  int
	nextAt int64 // when to send it (again)
}

// New is a device that was just switched on.
func New(c Config) *Agent {
	if c.Outcome == nil {
		c.Outcome = func(string) Status { return Succeeded }
	}
	if c.Patience <= 0 {
		c.Patience = 2 * time.Second
	}
	return &Agent{config: c, known: map[execution]run{}, askAt: 1}
}

// Recall tells an agent a fact of an earlier life, before anything else.
func (a *Agent) Recall(f Fact) {
	key := execution{f.Job, f.Number}
	switch f.What {
	case Started:
		a.known[key] = run{started: true, outcome: a.known[key].outcome}
	case Finished:
		a.known[key] = run{started: true, outcome: f.Status}
	}
}

// Idle tells whether the agent is connected, has nothing to do, and was told so by the service.
func (a *Agent) Idle() bool { return a.online && a.idle }

// Ended is how many executions this life brought to an end: reported, or found to be over.
func (a *Agent) Ended() int { return a.ended }

// Connected says that requests can be sent and that answers and notices are subscribed.
func (a *Agent) Connected(now int64) Effects {
	a.online = true
	if a.waiting != nil {
		a.waiting.nextAt = now
	} else if a.current == nil {
		a.askAt = now
	}
	return a.settle(now)
}

// Disconnected says that what was sent may be lost.
func (a *Agent) Disconnected(now int64) Effects {
	a.online = false
	return a.settle(now)
}

// Tick says that time has passed.
func (a *Agent) Tick(now int64) Effects { return a.settle(now) }

// Noticed hands in a notify-next; head is nil if nothing is pending.
func (a *Agent) Noticed(now int64, head *Execution) Effects {
	if head != nil {
		a.fact(now, Fact{What: Received, Job: head.Job, Number: head.Number, Status: head.Status, Version: head.Version})
		switch {
		case a.current == nil && a.waiting == nil:
			a.askAt = now
		case a.current == nil:
			a.again = true
		}
	}
	return a.settle(now)
}

// Answered hands in an answer. One that nothing waits for, such as the second to a repeated request, changes nothing.
func (a *Agent) Answered(now int64, answer Answer) Effects {
	w := a.waiting
	if w == nil || w.Token != answer.Token {
		a.fact(now, Fact{What: Answered, Token: answer.Token})
		return a.settle(now)
	}
	switch {
	case !answer.Accepted:
		a.rejected(now, w, answer)
	case w.Op == StartNext:
		a.waiting = nil
		a.offered(now, w, answer.Execution)
	default:
		a.waiting = nil
		version := w.ExpectedVersion + 1
		if answer.State != nil {
			version = answer.State.Version
		}
		a.reported(now, w, version)
		a.advance(now, version)
	}
	return a.settle(now)
}

// offered takes up what the service gave to do, or goes idle.
func (a *Agent) offered(now int64, w *request, e *Execution) {
	if e == nil {
		a.fact(now, Fact{What: Answered, Op: StartNext, Token: w.Token, FirstSent: w.sent, Nanos: now - w.sent, Tries: w.tries})
		a.rest(now)
		return
	}
	a.again = false
	a.fact(now, Fact{What: Received, Op: StartNext, Job: e.Job, Number: e.Number, Status: e.Status, Version: e.Version})
	w.Job, w.Number, w.Status = e.Job, e.Number, e.Status
	a.reported(now, w, e.Version)

	key := execution{e.Job, e.Number}
	a.current = &work{execution: key, version: e.Version, began: now}
	switch before := a.known[key]; {
	case before.outcome != "":
		a.current.report = true
	case before.started:
		// The life before ended during the work. Nobody knows how far it had come.
		a.current.details = map[string]string{"reason": "interrupted"}
		a.finish(now, Failed)
	default:
		// A crash after this fact is journaled leaves a started execution without an outcome: the next life reports
		// it as interrupted, and does not work again.
		a.known[key] = run{started: true}
		a.fact(now, Fact{What: Started, Job: e.Job, Number: e.Number, Version: e.Version})
	}
}

// advance goes on after a report that is known to have been applied.
func (a *Agent) advance(now int64, version uint64) {
	if a.current.report {
		a.drop(now)
		return
	}
	a.current.version = version
	a.current.steps++
}

// drop turns to the next job; the current one is over.
func (a *Agent) drop(now int64) {
	a.current, a.askAt = nil, now
	a.ended++
}

// rest waits to be told.
func (a *Agent) rest(now int64) {
	a.askAt = 0
	switch {
	case a.again:
		a.askAt = now
	case a.config.Poll > 0:
		a.askAt = now + int64(a.config.Poll) + a.jitter(a.config.Poll)
	}
	a.again, a.idle = false, true
}

// rejected handles every refusal. (specification §3.5)
func (a *Agent) rejected(now int64, w *request, answer Answer) {
	a.fact(now, Fact{What: Rejected, Op: w.Op, Job: w.Job, Number: w.Number, Status: w.Status, Code: answer.Code,
		Token: w.Token, FirstSent: w.sent, Nanos: now - w.sent, Tries: w.tries})
	switch {
	case answer.Code == Throttled || answer.Code == InternalError:
		w.nextAt = now + a.wait(w.tries) + a.jitter(a.config.Patience)
		return
	case w.Op == StartNext:
		a.waiting, a.askAt = nil, now+a.wait(w.tries+2)
		return
	}
	a.waiting = nil
	state := answer.State
	switch {
	case answer.Code == VersionMismatch && state != nil && !state.Status.Ended():
		if w.Status == InProgress && state.Status == InProgress && state.Version == w.ExpectedVersion+1 && w.tries > 1 {
			// The first sending was applied and its answer lost: this refusal answers the repeat.
			a.advance(now, state.Version)
			return
		}
		a.current.version = state.Version // settle reports again, with a new token as its contents are new
	case answer.Code == ResourceNotFound, state != nil && state.Status.Ended():
		a.drop(now) // deleted, canceled or timed out under our hands
	default:
		a.current, a.askAt = nil, now+a.wait(w.tries+2) // asking at once would be offered the same again
	}
}

// settle does what is due and says when something will be.
func (a *Agent) settle(now int64) Effects {
	if a.waiting == nil {
		switch {
		case a.current == nil:
			if a.online && a.askAt != 0 && a.askAt <= now {
				a.ask(now, Request{Op: StartNext})
			}
		case a.due() <= now:
			a.report(now)
		}
	}
	if w := a.waiting; w != nil && a.online && w.nextAt <= now {
		if w.sent == 0 {
			w.sent = now
		}
		w.nextAt = now + a.wait(w.tries) + a.jitter(a.config.Patience)/4
		w.tries++
		a.fact(now, Fact{What: Sent, Op: w.Op, Job: w.Job, Number: w.Number, Status: w.Status, Token: w.Token, Tries: w.tries})
		a.out.Requests = append(a.out.Requests, w.Request)
	}
	out := a.out
	a.out = Effects{}
	out.Wake = a.wake()
	return out
}

func (a *Agent) wake() int64 {
	switch {
	case a.waiting != nil && a.online:
		return a.waiting.nextAt
	case a.waiting == nil && a.current != nil:
		return a.due()
	case a.waiting == nil && a.online:
		return a.askAt
	}
	return 0
}

// due is when the next report of the current work is.
func (a *Agent) due() int64 {
	if a.current.report {
		return 0
	}
	return a.current.began + int64(a.config.Work)*int64(a.current.steps+1)/int64(a.config.Progress+1)
}

// report tells how far the current work is, or its outcome.
func (a *Agent) report(now int64) {
	c := a.current
	if !c.report && c.steps == a.config.Progress {
		a.finish(now, a.config.Outcome(c.job))
	}
	r := Request{Op: Update, Job: c.job, Number: c.number, ExpectedVersion: c.version, Status: InProgress, Details: c.details}
	if c.report {
		r.Status = a.known[c.execution].outcome
	} else {
		r.Details = map[string]string{"step": strconv.Itoa(c.steps+1) + " of " + strconv.Itoa(a.config.Progress)}
	}
	a.ask(now, r)
}

// finish fixes the outcome of the current work, before it is reported: a crash after this fact is journaled makes the
// next life report the same.
func (a *Agent) finish(now int64, outcome Status) {
	c := a.current
	c.report = true
	a.known[c.execution] = run{started: true, outcome: outcome}
	a.fact(now, Fact{What: Finished, Job: c.job, Number: c.number, Status: outcome})
}

func (a *Agent) ask(now int64, r Request) {
	a.tokens++
	r.Token = strconv.FormatUint(a.config.Boot, 36) + "-" + strconv.FormatUint(a.tokens, 36)
	a.idle, a.again = false, false
	a.waiting = &request{Request: r, nextAt: now}
}

func (a *Agent) reported(now int64, w *request, version uint64) {
	a.fact(now, Fact{What: Reported, Op: w.Op, Job: w.Job, Number: w.Number, Status: w.Status, Version: version,
		Token: w.Token, FirstSent: w.sent, Nanos: now - w.sent, Tries: w.tries})
}

func (a *Agent) fact(now int64, f Fact) {
	f.At, f.Thing = now, a.config.Thing
	a.out.Facts = append(a.out.Facts, f)
}

// wait is how long an answer is waited for after so many tries.
func (a *Agent) wait(tries int) int64 { return int64(a.config.Patience) << min(tries, 3) }

// jitter is 0 to d, so that devices that were cut off together do not come back together.
func (a *Agent) jitter(d time.Duration) int64 {
	h := a.config.Boot + a.tokens
	for _, c := range []byte(a.config.Thing) {
		h = mix(h ^ uint64(c))
	}
	return int64(mix(h) % uint64(d+1))
}
