package cli

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/audit"
)

// readFaults reads what was done to a system: a line each, in the order in which it was done,
//
//	1732312312345 kill -9 execution-1 logs=execution.0,execution.2 max=2s
//	1732312322345 restart leaf-1 for=4s
//
// the time in milliseconds since the Unix epoch, words, and, if they are known, for how long it was being done, the logs
// that it hit and for how long they may stand still. Lines that begin with # are comments.
func readFaults(name string) ([]audit.Fault, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, usagef("--faults: %v", err)
	}
	defer f.Close()
	var faults []audit.Fault
	lines := bufio.NewScanner(f)
	for number := 1; lines.Scan(); number++ {
		if line := strings.TrimSpace(lines.Text()); line != "" && line[0] != '#' {
			fault, err := parseFault(line)
			if err != nil {
				return nil, usagef("--faults %s, line %d: %v", name, number, err)
			}
			if n := len(faults); n > 0 && faults[n-1].AtMs > fault.AtMs {
				return nil, usagef("--faults %s, line %d: it was done before the line above it", name, number)
			}
			faults = append(faults, fault)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("--faults %s: %w", name, err)
	}
	return faults, nil
}

func parseFault(line string) (f audit.Fault, err error) {
	words := strings.Fields(line)
	if f.AtMs, err = strconv.ParseInt(words[0], 10, 64); err != nil || f.AtMs <= 0 {
		return f, fmt.Errorf("%.40q: milliseconds since the Unix epoch are needed", words[0])
	}
	var what []string
	for _, word := range words[1:] {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "logs":
			for s := range strings.SplitSeq(value, ",") {
				log, err := id.ParseLog(s)
				if err != nil {
					return f, err
				}
				f.Logs = append(f.Logs, log)
			}
		case "max", "for":
			d, err := time.ParseDuration(value)
			if err != nil || d <= 0 {
				return f, fmt.Errorf("%.40s: a duration is needed, as in %s=2s", word, name)
			}
			if name == "max" {
				f.Max = d
			} else {
				f.For = d
			}
		default:
			what = append(what, word)
		}
	}
	if f.What = strings.Join(what, " "); f.What == "" {
		return f, fmt.Errorf("it does not say what was done")
	}
	return f, nil
}

// faultView is what became of one fault.
type faultView struct {
	At          string           `json:"at"`
	What        string           `json:"what"`
	MaxSeconds  float64          `json:"maxSeconds,omitempty"`
	Off         string           `json:"off,omitempty"` // what is not as it must be
	Standstills []standstillView `json:"standstills"`
}

type standstillView struct {
	Log             string   `json:"log"`
	Of              string   `json:"of"`
	Seconds         *float64 `json:"seconds,omitempty"` // none: it did not go on
	UsualSeconds    float64  `json:"usualSeconds"`
	UsualMaxSeconds float64  `json:"usualMaxSeconds"`
	Idle            bool     `json:"idle"` // it had nothing to do before
	OwnedAfter      float64  `json:"takenOverAfterSeconds,omitempty"`
	Owner           string   `json:"newOwner,omitempty"`
}

func viewFaults(faults []audit.Fault, standstills [][]audit.Standstill) []faultView {
	views := make([]faultView, len(faults))
	for i, f := range faults {
		v := faultView{At: moment(f.AtMs), What: f.What, MaxSeconds: f.Max.Seconds(), Standstills: []standstillView{}}
		for _, s := range standstills[i] {
			v.Standstills = append(v.Standstills, viewStandstill(f, s))
		}
		if f.Max > 0 {
			v.Off = tooLong(f, standstills[i])
		}
		views[i] = v
	}
	return views
}

func viewStandstill(f audit.Fault, s audit.Standstill) standstillView {
	v := standstillView{
		Log: s.Log.String(), Of: s.Beat, UsualSeconds: s.Usual.Seconds(), UsualMaxSeconds: s.UsualMax.Seconds(), Idle: s.Idle, Owner: s.Owner,
	}
	if length, ok := s.Length(); ok {
		seconds := length.Seconds()
		v.Seconds = &seconds
	}
	if s.OwnedMs != 0 {
		v.OwnedAfter = float64(s.OwnedMs-f.AtMs) / 1000
	}
	return v
}

// tooLong says what of a fault's standstills breaks its limit: one that is longer by more than the longest pause that was
// usual before, since so much of it may have been that. A fault of which nothing can be seen breaks it too.
func tooLong(f audit.Fault, standstills []audit.Standstill) string {
	seen := false
	for _, s := range standstills {
		length, ok := s.Length()
		seen = seen || !s.Idle || s.OwnedMs != 0
		switch {
		case !ok:
			return fmt.Sprintf("%s: no %s behind it", s.Log, s.Beat)
		case length > f.Max+s.UsualMax:
			return fmt.Sprintf("%s: %v without %s, %v at most before", s.Log, length, s.Beat, s.UsualMax)
		}
	}
	if !seen {
		return "no log was at work when it was done, or taken over behind it: nothing can be told"
	}
	return ""
}

// worst are the longest standstills of a fault, one of each kind, in their order.
func worst(all []standstillView) (list []standstillView) {
	length := func(s standstillView) float64 {
		if s.Seconds == nil {
			return math.Inf(1)
		}
		return *s.Seconds
	}
	for _, s := range all {
		i := slices.IndexFunc(list, func(w standstillView) bool { return w.Of == s.Of })
		switch {
		case i < 0:
			list = append(list, s)
		case length(s) > length(list[i]):
			list[i] = s
		}
	}
	return list
}

// printFaults shows the worst of each fault; --output json has all.
func (a *app) printFaults(faults []faultView) error {
	l := list[[]string]{
		a: a, columns: []string{"FAULT", "LOG", "WITHOUT", "SECONDS", "USUALLY", "AT MOST", "TAKEN OVER AFTER", "LIMIT"},
		row: func(r []string) []string { return r },
	}
	var rows [][]string
	for _, f := range faults {
		what, limit := f.What, "-"
		if f.MaxSeconds > 0 {
			limit = fmt.Sprintf("%g s", f.MaxSeconds)
		}
		for _, s := range worst(f.Standstills) {
			rows = append(rows, append([]string{what}, s.row(limit)...))
			what = ""
		}
		if len(f.Standstills) == 0 {
			rows = append(rows, []string{what, "-", "-", "-", "-", "-", "-", limit})
		}
	}
	if err := l.page(rows); err != nil {
		return err
	}
	for _, f := range faults {
		if f.Off != "" {
			fmt.Fprintf(a.out, "OFF  %s: %s\n", f.What, f.Off)
		}
	}
	return l.end()
}

func (s standstillView) row(limit string) []string {
	ms := func(seconds float64) string { return fmt.Sprintf("%.0f ms", 1000*seconds) }
	row := []string{s.Log, s.Of, "for ever", ms(s.UsualSeconds), ms(s.UsualMaxSeconds), "-", limit}
	if s.Seconds != nil {
		row[2] = fmt.Sprintf("%.2f s", *s.Seconds)
	}
	if s.Idle {
		row[3], row[4] = "idle", "-"
	}
	if s.OwnedAfter != 0 {
		row[5] = fmt.Sprintf("%.2f s, by %s", s.OwnedAfter, s.Owner)
	}
	return row
}
