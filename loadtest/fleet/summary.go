package fleet

import (
	"io"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/droverhq/drover/loadtest/agent"
)

// Attempt is one attempt of a job on a device.
type Attempt struct {
	Job, Thing string
	Number     uint64
}

// Witness is what the devices say of one attempt.
type Witness struct {
	// Started is how often its work was begun; more than once is a fault.
	Started int
	// Outcome is how the work ended; empty if it did not.
	Outcome agent.Status
	// Accepted are the reports that the service accepted, in order, with the version after each.
	Accepted []Accepted
}

// Accepted is a report with the answer accepted.
type Accepted struct {
	// At is when the answer came, since the Unix epoch.
	At      time.Duration
	Op      agent.Op
	Status  agent.Status
	Version uint64
	Token   string
}

// Summary is a journal, counted.
type Summary struct {
	Attempts map[Attempt]*Witness
	// Reports are those accepted, Rejected those refused, Repeated those sent more than once before the answer.
	Reports, Rejected, Repeated int
	// Sent is how often something was sent, Answered how many answers came, counting no more to a request than it was
	// sent; Waiting were sent in the last 2 s and not answered. Asking for the next job counts as a report here: it starts
	// one.
	Sent, Answered, Waiting int
	// Unanswered are the others, by time.
	Unanswered []Sending
	// Prompt are those of the answered whose answer came within a second, in the order of the answers.
	Prompt []Prompt
	// First and Last are the times of the first sending and the last answer, since the Unix epoch.
	First, Last time.Duration
	// P50, P99 and Max are of the time from the first sending of a report to its acceptance.
	P50, P99, Max time.Duration
}

// Summarize reads a journal.
func Summarize(r io.Reader) (Summary, error) {
	s := Summary{Attempts: map[Attempt]*Witness{}}
	latency, sendings := newLatency(), sendings{}
	err := ReadJournal(r, func(f agent.Fact) error {
		s.add(f, latency)
		sendings.add(f)
		return nil
	})
	s.Sent, s.Answered, s.Prompt = sendings.sent, sendings.answered, sendings.prompt
	s.Waiting, s.Unanswered = sendings.count()
	s.P50, s.P99, s.Max = percentiles(latency)
	return s, err
}

func (s *Summary) add(f agent.Fact, latency *hdrhistogram.Histogram) {
	if f.Job == "" {
		return
	}
	key := Attempt{Job: f.Job, Thing: f.Thing, Number: f.Number}
	w := s.Attempts[key]
	if w == nil {
		w = &Witness{}
		s.Attempts[key] = w
	}
	switch f.What {
	case agent.Started:
		w.Started++
	case agent.Finished:
		w.Outcome = f.Status
	case agent.Rejected:
		s.Rejected++
	case agent.Reported:
		w.Accepted = append(w.Accepted, Accepted{At: time.Duration(f.At), Op: f.Op, Status: f.Status, Version: f.Version, Token: f.Token})
		s.Reports++
		if f.Tries > 1 {
			s.Repeated++
		}
		if sent := time.Duration(f.FirstSent); s.First == 0 || sent < s.First {
			s.First = sent
		}
		s.Last = max(s.Last, time.Duration(f.At))
		record(latency, f.Nanos)
	}
}
