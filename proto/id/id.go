// Package id holds names that were checked once.
//
// It promises that a value of one of its types is well formed: a Thing, Group or Job holds no character that
// means something to a subject, a topic or a key. Whoever parses at the edge hands the typed value inwards, and
// nobody checks again. It leaves existence to others: a Thing may name no thing.
//
// Sources: names are specification §1.3; positions and job numbers are design §2 and §3.
package id

import (
	"fmt"
	"strconv"
	"strings"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// Thing, Group: 1 to 128 of [a-zA-Z0-9:_-]. Job, Template: 1 to 64 of [a-zA-Z0-9_-]. (specification §1.3)
type (
	Thing    string
	Group    string
	Job      string
	Template string
)

const (
	nameMax = 128
	jobMax  = 64
)

// ParseThing checks a thing's name, or takes it from its ARN.
func ParseThing(s string) (Thing, error) {
	s = fromARN(s, "thing")
	return Thing(s), checkName("thing name", s, nameMax, true)
}

// ParseGroup checks a group's name, or takes it from its ARN.
func ParseGroup(s string) (Group, error) {
	s = fromARN(s, "thinggroup")
	return Group(s), checkName("group name", s, nameMax, true)
}

// ParseJob checks a job id, or takes it from its ARN.
func ParseJob(s string) (Job, error) {
	s = fromARN(s, "job")
	return Job(s), checkName("job id", s, jobMax, false)
}

// ParseTemplate checks a job template's id, or takes it from its ARN.
func ParseTemplate(s string) (Template, error) {
	s = fromARN(s, "jobtemplate")
	return Template(s), checkName("template id", s, jobMax, false)
}

// ParseTarget reads a target: an ARN, or thing/NAME, or group/NAME.
func ParseTarget(s string) (*v1.Target, error) {
	kind, name, ok := strings.Cut(s, "/")
	if i := strings.LastIndexByte(kind, ':'); i >= 0 && strings.HasPrefix(s, "arn:") {
		kind = kind[i+1:]
	}
	if ok {
		switch kind {
		case "thing":
			t, err := ParseThing(name)
			return &v1.Target{Target: &v1.Target_Thing{Thing: string(t)}}, err
		case "group", "thinggroup":
			g, err := ParseGroup(name)
			return &v1.Target{Target: &v1.Target_Group{Group: string(g)}}, err
		}
	}
	return nil, fmt.Errorf("target %s is neither thing/NAME nor group/NAME nor an ARN of one", quote(s))
}

// FormatTarget is the twin of ParseTarget: thing/NAME or group/NAME.
func FormatTarget(t *v1.Target) string {
	if g := t.GetGroup(); g != "" {
		return "group/" + g
	}
	return "thing/" + t.GetThing()
}

// fromARN returns the name behind arn:aws:iot:REGION:ACCOUNT:kind/NAME, or s itself.
func fromARN(s, kind string) string {
	if !strings.HasPrefix(s, "arn:") {
		return s
	}
	parts := strings.SplitN(s, ":", 6)
	if len(parts) == 6 && parts[2] == "iot" {
		if name, ok := strings.CutPrefix(parts[5], kind+"/"); ok {
			return name
		}
	}
	return s
}

func checkName(what, s string, limit int, colon bool) error {
	set := "[a-zA-Z0-9_-]"
	if colon {
		set = "[a-zA-Z0-9:_-]"
	}
	if s == "" || len(s) > limit {
		return fmt.Errorf("%s %s has %d characters; 1 to %d of %s are allowed", what, quote(s), len(s), limit, set)
	}
	for _, c := range s {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || colon && c == ':') {
			return fmt.Errorf("%s %s holds %q; 1 to %d of %s are allowed", what, quote(s), c, limit, set)
		}
	}
	return nil
}

// quote shows at most 40 bytes of what a caller sent.
func quote(s string) string {
	if len(s) > 40 {
		return strconv.Quote(s[:40]) + "…"
	}
	return strconv.Quote(s)
}

// Home is the partition that owns a thing's queue: 0 to homes-1.
type Home uint32

// HomeOf is FNV-1a, 32 bits, of the name, modulo homes: what nats-server's partition() computes, so that
// a device's request and its execution meet at one home.
func HomeOf(thing string, homes uint32) Home {
	h := uint32(2166136261)
	for i := range len(thing) {
		h = (h ^ uint32(thing[i])) * 16777619
	}
	return Home(h % homes)
}

// Log names one log: job, targeting, rollout, or execution.<home>.
type Log struct {
	Service v1.Service
	Home    Home // 0 but for execution
}

// The logs that are not split by home.
var (
	JobLog       = Log{Service: v1.Service_SERVICE_JOB}
	TargetingLog = Log{Service: v1.Service_SERVICE_TARGETING}
	RolloutLog   = Log{Service: v1.Service_SERVICE_ROLLOUT}
)

// ExecutionLog is the log of one home.
func ExecutionLog(h Home) Log { return Log{Service: v1.Service_SERVICE_EXECUTION, Home: h} }

// Logs lists every log of a system with that many homes, in the order in which positions are shown.
func Logs(homes uint32) []Log {
	logs := []Log{JobLog, TargetingLog, RolloutLog}
	for h := range homes {
		logs = append(logs, ExecutionLog(Home(h)))
	}
	return logs
}

var serviceNames = [...]string{"", "job", "targeting", "rollout", "execution"}

// ServiceName is the word for a service in subjects, streams and positions.
func ServiceName(s v1.Service) string {
	if int(s) < len(serviceNames) {
		return serviceNames[s]
	}
	return "service" + strconv.Itoa(int(s))
}

// String: "job", "execution.3".
func (l Log) String() string {
	if l.Service == v1.Service_SERVICE_EXECUTION {
		return "execution." + strconv.Itoa(int(l.Home))
	}
	return ServiceName(l.Service)
}

// ParseLog is the twin of String.
func ParseLog(s string) (Log, error) {
	name, home, split := strings.Cut(s, ".")
	for i := 1; i < len(serviceNames); i++ {
		l := Log{Service: v1.Service(i)}
		if name != serviceNames[i] || split != (l.Service == v1.Service_SERVICE_EXECUTION) {
			continue
		}
		if split {
			n, err := strconv.ParseUint(home, 10, 16)
			if err != nil || strconv.FormatUint(n, 10) != home {
				break
			}
			l.Home = Home(n)
		}
		return l, nil
	}
	return Log{}, fmt.Errorf("log %s is none of job, targeting, rollout, execution.<home>", quote(s))
}

// Compare orders logs as Logs lists them.
func (l Log) Compare(m Log) int {
	if l.Service != m.Service {
		return int(l.Service) - int(m.Service)
	}
	return int(l.Home) - int(m.Home)
}

// LogOf is the log of a position.
func LogOf(p *v1.Position) Log { return Log{Service: p.GetService(), Home: Home(p.GetHome())} }

// Position is a place in a log.
func (l Log) Position(number uint64, entry int) *v1.Position {
	return &v1.Position{Service: l.Service, Home: uint32(l.Home), Number: number, Entry: uint32(entry)}
}

// FormatPosition: "rollout@8123", or "rollout@8123.4" for an entry other than the first.
func FormatPosition(p *v1.Position) string {
	s := LogOf(p).String() + "@" + strconv.FormatUint(p.GetNumber(), 10)
	if p.GetEntry() != 0 {
		s += "." + strconv.FormatUint(uint64(p.GetEntry()), 10)
	}
	return s
}

// ParsePosition is the twin of FormatPosition.
func ParsePosition(s string) (*v1.Position, error) {
	log, place, ok := strings.Cut(s, "@")
	l, err := ParseLog(log)
	if err != nil || !ok {
		return nil, fmt.Errorf("position %s is not LOG@NUMBER or LOG@NUMBER.ENTRY", quote(s))
	}
	number, entry, split := strings.Cut(place, ".")
	n, err := strconv.ParseUint(number, 10, 48)
	e := uint64(0)
	if err == nil && split {
		e, err = strconv.ParseUint(entry, 10, 16)
	}
	if err != nil {
		return nil, fmt.Errorf("position %s is not LOG@NUMBER or LOG@NUMBER.ENTRY", quote(s))
	}
	return l.Position(n, int(e)), nil
}

// Number packs the place of an event in its log into one number, unique in that log for ever: a job is the
// number of its JobCreated, a thing that of its ThingCreated. A commit holds fewer than 65,536 entries.
func Number(commit uint64, entry int) uint64 { return commit<<16 | uint64(entry) }

// SplitNumber is the twin of Number.
func SplitNumber(n uint64) (commit uint64, entry int) { return n >> 16, int(n & 0xffff) }
