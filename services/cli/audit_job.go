package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/droverhq/drover/loadtest/agent"
	"github.com/droverhq/drover/loadtest/fleet"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/audit"
	"github.com/droverhq/drover/services/audit/invariants"
)

func auditJob(a *app, from *logSource) *cobra.Command {
	var expect []string
	var journal, faults string
	cmd := &cobra.Command{
		Use:   "job JOB",
		Short: "Recount a job from the log alone",
		Long: `Recounts a job from the events of a system's logs: executions by status, transitions (every execution that was
queued and every change of status), first and last, versions without gaps, exactly one end for each execution; and holds
the logs against the rules that are true of every history.

--expect NAME=COUNT holds a figure against what you know: a status, or transitions, executions, selected, released.
--journal reads what simulated devices say of themselves, and shows that no report that was answered accepted is missing
and no device ran its job twice.

--faults reads what was done to the system meanwhile, a line each: the time in milliseconds since the Unix epoch, what it
was, and, if you know it, for how long it was being done, which logs it hit, and for how long they may stand still:
  1732312312345 kill -9 execution-1 logs=execution.0,execution.2 max=2s
  1732312322345 restart leaf-1 for=4s
For each it prints the longest time between two steps forward around it, beside what was usual in the 10 s before: a
home's steps are devices' reports, rollout's are releases; the table has the longest of each. It is off if it is longer
than max by more than the longest usual time. With --journal, a report or a question may have gone unanswered only while
its home had another owner, while a fault was being done to it, or behind one in a pause that is longer than any before.

Exit status 1 if anything is off.`,
		Example:           `  drover audit job fw-1 --data /var/lib/drover --expect SUCCEEDED=950 --expect FAILED=50 --expect transitions=3000`,
		Args:              takes(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: ofJob(func(ctx context.Context, job string) error {
			expected, err := parseExpectations(expect)
			if err != nil {
				return err
			}
			return a.auditJob(ctx, from, job, expected, journal, faults)
		}),
	}
	cmd.Flags().StringArrayVar(&expect, "expect", nil, "NAME=COUNT; may be repeated")
	cmd.Flags().StringVar(&journal, "journal", "", "journal of drover simulate")
	cmd.Flags().StringVar(&faults, "faults", "", "what was done to the system, a line each: TIME WHAT [for=DURATION] [logs=LOG,…] [max=DURATION]")
	return cmd
}

// auditView is what audit job prints.
type auditView struct {
	JobID        string           `json:"jobId"`
	Job          uint64           `json:"job"`
	Status       string           `json:"status"`
	Selected     uint64           `json:"selected"`
	Released     uint64           `json:"released"`
	Executions   int64            `json:"executions"`
	Counts       map[string]int64 `json:"counts"`
	Transitions  uint64           `json:"transitions"`
	FirstAt      string           `json:"firstAt,omitempty"`
	LastAt       string           `json:"lastAt,omitempty"`
	PerSecond    float64          `json:"transitionsPerSecond"`
	VersionGaps  uint64           `json:"versionGaps"`
	Ended        uint64           `json:"ended"`
	EndedTwice   uint64           `json:"endedTwice"`
	Journal      *journalView     `json:"journal,omitempty"`
	Faults       []faultView      `json:"faults,omitempty"`
	Expectations []expectView     `json:"expectations,omitempty"`
	Violations   []violationView  `json:"violations"`
}

type journalView struct {
	Reports  int     `json:"reportsAccepted"`
	Repeated int     `json:"reportsRepeated"`
	P50Ms    float64 `json:"acceptedP50Ms"`
	P99Ms    float64 `json:"acceptedP99Ms"`
	MaxMs    float64 `json:"acceptedMaxMs"`

	// Sendings, those that ask for the next job among them. Waiting were under way when the journal ended.
	Sent       int `json:"sent"`
	Answered   int `json:"answered"`
	Waiting    int `json:"waiting"`
	Unanswered int `json:"unanswered"`
	// Unexcused went unanswered while nothing was being taken over; Lost were never answered, however often sent.
	Unexcused []sendingView `json:"unexcused,omitempty"`
	Lost      []sendingView `json:"lost,omitempty"`
}

type sendingView struct {
	At    string `json:"at"`
	Thing string `json:"thing"`
	Op    string `json:"op"`
}

type expectView struct {
	Name     string `json:"name"`
	Expected int64  `json:"expected"`
	Counted  int64  `json:"counted"`
}

func (a *app) auditJob(ctx context.Context, from *logSource, job string, expected []expectView, journal, faultsFile string) error {
	var summary fleet.Summary
	var faults []audit.Fault
	var err error
	if journal != "" {
		if summary, err = readJournal(journal); err != nil {
			return err
		}
	}
	if faultsFile != "" {
		if faults, err = readFaults(faultsFile); err != nil {
			return err
		}
	}
	o, err := from.openWhole(ctx)
	if err != nil {
		return err
	}
	defer o.close()
	h, err := audit.Read(ctx, o.logs, nil)
	if err != nil {
		return err
	}
	j := h.JobByID(job)
	if j == nil {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "jobId", "the log knows no job %s", job)
	}
	devices := testimonies(summary, job)
	found := invariants.Check(h)
	v := viewAudit(j.Report())
	standstills := h.Standstills(faults, devices)
	v.Faults = viewFaults(faults, standstills)
	if journal != "" {
		found = append(found, invariants.CheckWitnesses(h, devices)...)
		excuses := h.Excuses(promptly(summary), faults)
		v.Journal = viewJournal(summary, func(s fleet.Sending) bool {
			return excuses.Excused(audit.Sent{Thing: s.Thing, AtMs: s.At.Milliseconds(), Writes: s.Op == agent.Update})
		})
	}
	for _, f := range found {
		v.Violations = append(v.Violations, violationView{f.Rule, f.At, f.What})
	}
	for _, e := range expected {
		e.Counted = v.figure(e.Name)
		v.Expectations = append(v.Expectations, e)
	}
	if err := a.printAudit(v); err != nil {
		return err
	}
	return v.verdict()
}

// verdict is the error of an audit that does not agree. That a report went unanswered outside of takeovers, or for good, is
// held against a system only if the faults are known: who ends the devices early leaves such reports.
func (v auditView) verdict() error {
	var errs, off []string
	for _, e := range v.Expectations {
		if e.Counted != e.Expected {
			off = append(off, e.Name)
		}
	}
	if len(off) > 0 {
		errs = append(errs, "not as expected: "+strings.Join(off, ", "))
	}
	for _, f := range v.Faults {
		if f.Off != "" {
			errs = append(errs, fmt.Sprintf("after %s: %s", f.What, f.Off))
		}
	}
	if j := v.Journal; j != nil && len(v.Faults) > 0 {
		if n := len(j.Unexcused); n > 0 {
			errs = append(errs, plural(n, "report")+" went unanswered while nothing was being taken over")
		}
		if n := len(j.Lost); n > 0 {
			errs = append(errs, plural(n, "report")+" never had an answer")
		}
	}
	if n := len(v.Violations); n > 0 {
		errs = append(errs, "the logs break "+plural(n, "rule"))
	}
	if errs == nil {
		return nil
	}
	return errors.New(strings.Join(errs, "; "))
}

func viewAudit(r audit.Report) auditView {
	v := auditView{
		JobID: r.Job.ID, Job: r.Job.Number, Status: v1.EnumName(r.Job.Status), Selected: r.Selected, Released: r.Released,
		Executions: r.Executions(), Counts: map[string]int64{}, Transitions: r.Transitions, PerSecond: r.PerSecond(),
		VersionGaps: r.Gaps, Ended: r.Ends, EndedTwice: r.Doubled, Violations: []violationView{},
	}
	if r.Transitions > 0 {
		v.FirstAt, v.LastAt = moment(r.First.UnixMilli()), moment(r.Last.UnixMilli())
	}
	for _, name := range statusNames(v1.ExecutionStatus(0).Descriptor()) {
		status, _ := executionStatus(name)
		v.Counts[name] = r.Status(status)
	}
	return v
}

// figures are what --expect may name beside statuses.
var figures = []string{"transitions", "executions", "selected", "released"}

func (v auditView) figure(name string) int64 {
	switch name {
	case "transitions":
		return int64(v.Transitions)
	case "executions":
		return v.Executions
	case "selected":
		return int64(v.Selected)
	case "released":
		return int64(v.Released)
	}
	return v.Counts[name]
}

func parseExpectations(list []string) ([]expectView, error) {
	names := append(statusNames(v1.ExecutionStatus(0).Descriptor()), figures...)
	var out []expectView
	for _, s := range list {
		name, number, ok := strings.Cut(s, "=")
		n, err := strconv.ParseInt(number, 10, 64)
		known := false
		for _, k := range names {
			if strings.EqualFold(k, name) {
				name, known = k, true
			}
		}
		if !ok || err != nil || !known {
			return nil, usagef("--expect %.60q: NAME=COUNT is needed, with a name of %s", s, strings.Join(names, ", "))
		}
		out = append(out, expectView{Name: name, Expected: n})
	}
	return out, nil
}

func (a *app) printAudit(v auditView) error {
	if a.json() {
		return a.printJSON(v)
	}
	fields := []field{
		{"Job", fmt.Sprintf("%s (number %d)", v.JobID, v.Job)},
		{"Status", v.Status},
		{"Selected", humanize.Comma(int64(v.Selected))},
		{"Released", humanize.Comma(int64(v.Released))},
		{"Executions", humanize.Comma(v.Executions)},
	}
	for _, name := range statusNames(v1.ExecutionStatus(0).Descriptor()) {
		if n := v.Counts[name]; n != 0 {
			fields = append(fields, field{"  " + name, humanize.Comma(n)})
		}
	}
	fields = append(fields,
		field{"Transitions", humanize.Comma(int64(v.Transitions))},
		field{"First, last", v.FirstAt + ", " + v.LastAt},
		field{"Transitions a second", fmt.Sprintf("%.0f", v.PerSecond)},
		field{"Versions with gaps", fmt.Sprint(v.VersionGaps)},
		field{"Ended once", fmt.Sprintf("%d of %d, %d ended twice", int64(v.Ended)-int64(v.EndedTwice), v.Executions, v.EndedTwice)},
	)
	if j := v.Journal; j != nil {
		fields = append(fields,
			field{"Reports accepted", fmt.Sprintf("%s, %d of them sent more than once", humanize.Comma(int64(j.Reports)), j.Repeated)},
			field{"Reports sent", fmt.Sprintf("%s: answered %s, under way at the end %d, unanswered %d (%d not in a takeover, %d for good)",
				humanize.Comma(int64(j.Sent)), humanize.Comma(int64(j.Answered)), j.Waiting, j.Unanswered, len(j.Unexcused), len(j.Lost))},
			field{"Report to accepted", fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, longest %.1f ms", j.P50Ms, j.P99Ms, j.MaxMs)})
	}
	if err := a.printFields(fields...); err != nil {
		return err
	}
	if len(v.Faults) > 0 {
		if err := a.printFaults(v.Faults); err != nil {
			return err
		}
	}
	if v.Journal != nil && len(v.Faults) > 0 {
		a.printUnanswered(v.Journal)
	}
	for _, e := range v.Expectations {
		word := "as expected"
		if e.Counted != e.Expected {
			word = "OFF"
		}
		fmt.Fprintf(a.out, "%-12s %s: %d, expected %d\n", word, e.Name, e.Counted, e.Expected)
	}
	for _, f := range v.Violations {
		fmt.Fprintf(a.out, "BROKEN  %s at %s: %s\n", f.Rule, f.At, f.What)
	}
	if len(v.Violations) > 0 {
		return nil
	}
	_, err := fmt.Fprintf(a.out, "all %d rules hold\n", len(invariants.Rules()))
	return err
}

// readJournal reads what simulated devices have noted.
func readJournal(name string) (fleet.Summary, error) {
	f, err := os.Open(name)
	if err != nil {
		return fleet.Summary{}, usagef("%v", err)
	}
	defer f.Close()
	s, err := fleet.Summarize(f)
	if err != nil {
		return s, fmt.Errorf("journal %s: %w", name, err)
	}
	return s, nil
}

func viewJournal(s fleet.Summary, excused func(fleet.Sending) bool) *journalView {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	v := &journalView{
		Reports: s.Reports, Repeated: s.Repeated, P50Ms: ms(s.P50), P99Ms: ms(s.P99), MaxMs: ms(s.Max),
		Sent: s.Sent, Answered: s.Answered, Waiting: s.Waiting, Unanswered: len(s.Unanswered),
	}
	for _, u := range s.Unanswered {
		view := sendingView{At: moment(u.At.Milliseconds()), Thing: u.Thing, Op: string(u.Op)}
		if !excused(u) {
			v.Unexcused = append(v.Unexcused, view)
		}
		if u.Lost {
			v.Lost = append(v.Lost, view)
		}
	}
	return v
}

// printUnanswered names some of the reports that the system owes an answer.
func (a *app) printUnanswered(j *journalView) {
	a.printSendings("while nothing was being taken over", j.Unexcused)
	a.printSendings("however often it was sent", j.Lost)
}

func (a *app) printSendings(when string, list []sendingView) {
	const most = 10
	for _, s := range list[:min(len(list), most)] {
		fmt.Fprintf(a.out, "UNANSWERED  %s of %s, sent %s, %s\n", s.Op, s.Thing, s.At, when)
	}
}

// promptly are the sendings that were answered where nothing was in the way.
func promptly(s fleet.Summary) []audit.Sent {
	sent := make([]audit.Sent, len(s.Prompt))
	for i, p := range s.Prompt {
		sent[i] = audit.Sent{Thing: p.Thing, AtMs: p.At.Milliseconds(), Writes: p.Wrote}
	}
	return sent
}

// testimonies are what the devices say of one job.
func testimonies(s fleet.Summary, job string) []audit.Testimony {
	var all []audit.Testimony
	for at, w := range s.Attempts {
		if at.Job != job {
			continue
		}
		t := audit.Testimony{JobID: at.Job, Thing: at.Thing, Number: at.Number, Runs: w.Started}
		for _, r := range w.Accepted {
			status, _ := executionStatus(string(r.Status))
			t.Accepted = append(t.Accepted, audit.Accepted{AtMs: r.At.Milliseconds(), Status: status, Version: r.Version, Start: r.Op == agent.StartNext})
		}
		all = append(all, t)
	}
	return all
}
