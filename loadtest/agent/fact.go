package agent

// What names a kind of fact.
type What string

// The facts of a device's life, in the order in which they happen to one execution.
const (
	// Sent: a request goes out, for the Tries-th time. Every answer to it has its Token.
	Sent What = "sent"
	// Answered: an answer came that tells of no execution: nothing is pending, or nothing waited for it any more.
	Answered What = "answered"
	// Received: the service offered an execution. It may do so several times.
	Received What = "received"
	// Started: the work of an execution begins. It stands in a journal before the work begins, so it happens once.
	Started What = "started"
	// Finished: the work is over, with Status as its outcome. It stands in a journal before it is reported.
	Finished What = "finished"
	// Reported: a report was accepted.
	Reported What = "reported"
	// Rejected: a request was rejected, with Code.
	Rejected What = "rejected"
)

// Fact is one line of a device's journal. Times are in nanoseconds since the Unix epoch.
type Fact struct {
	At     int64  `json:"at"`
	What   What   `json:"fact"`
	Thing  string `json:"thing"`
	Job    string `json:"job,omitempty"`
	Number uint64 `json:"number,omitempty"`
	// Status is the offered, finished or reported one.
	Status Status `json:"status,omitempty"`
	// Version is the execution's: as offered, or as it is after the report; 0 if the service did not say.
	Version uint64 `json:"version,omitempty"`
	Op      Op     `json:"op,omitempty"`
	Token   string `json:"token,omitempty"`
	// FirstSent is when the request was sent first, Nanos how long after that its answer came, Tries how often it was
	// sent.
	FirstSent int64 `json:"sent,omitempty"`
	Nanos     int64 `json:"ns,omitempty"`
	Tries     int   `json:"tries,omitempty"`
	Code      Code  `json:"code,omitempty"`
}
