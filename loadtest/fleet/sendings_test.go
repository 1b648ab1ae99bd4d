package fleet

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/loadtest/agent"
)

func TestEverySendingIsAnsweredOrListed(t *testing.T) {
	sent := func(at int64, token string) agent.Fact {
		return agent.Fact{At: at, What: agent.Sent, Thing: "d", Token: token, Op: agent.Update}
	}
	got := func(what agent.What, token string) agent.Fact {
		return agent.Fact{What: what, Thing: "d", Token: token}
	}
	var s sendings
	for _, f := range []agent.Fact{
		sent(1, "once"), got(agent.Reported, "once"), got(agent.Answered, "once"), // the second one is nobody's
		sent(2, "late"), sent(3, "late"), got(agent.Reported, "late"), got(agent.Answered, "late"),
		sent(4, "repeated"), sent(5, "repeated"), sent(6, "repeated"), got(agent.Rejected, "repeated"),
		sent(7, "lost"), sent(8, "lost"),
		sent(9, "empty"), got(agent.Answered, "empty"),
		{At: 10, What: agent.Sent, Thing: "e", Token: "once"},
		sent(11, "once"), got(agent.Reported, "once"),
		{What: agent.Started, Thing: "d", Job: "j"},
		sent(5, "refused"), got(agent.Rejected, "refused"), sent(6, "refused"), sent(7, "refused"), got(agent.Reported, "refused"),
	} {
		s.add(f)
	}
	if waiting, unanswered := s.count(); s.sent != 14 || s.answered != 8 || waiting != 6 || len(unanswered) != 0 {
		t.Errorf("%d sent, %d answered, %d waited for, %d not answered", s.sent, s.answered, waiting, len(unanswered))
	}
	s.add(agent.Fact{At: int64(stillWaiting) + 10, What: agent.Started, Thing: "d"})
	s.add(sent(int64(stillWaiting)+10, "patient"))
	s.open[[2]string{"d", "patient"}].sent = []time.Duration{9, stillWaiting + 10}
	waiting, unanswered := s.count()
	if waiting != 1 || len(unanswered) != 7 {
		t.Errorf("%d waited for, %d not answered", waiting, len(unanswered))
	}
	want := []Sending{{At: 4, Thing: "d", Op: agent.Update, Token: "repeated"}, {At: 5, Thing: "d", Op: agent.Update, Token: "repeated"},
		{At: 6, Thing: "d", Op: agent.Update, Token: "refused"},
		{At: 7, Thing: "d", Op: agent.Update, Token: "lost", Lost: true}, {At: 8, Thing: "d", Op: agent.Update, Token: "lost", Lost: true},
		{At: 9, Thing: "d", Op: agent.Update, Token: "patient"},
		{At: 10, Thing: "e", Token: "once", Lost: true}}
	for i, u := range unanswered {
		if i >= len(want) || u != want[i] {
			t.Errorf("unanswered %+v", u)
		}
	}
}

// What a whole fleet notes adds up, also when answers are lost on the way.
func TestAJournalTellsOfEveryAnswerThatWasLost(t *testing.T) {
	b, s := startBroker(t), newService()
	var lost int
	s.drop = func(topic string) bool { // one at a time: the service holds its lock
		if strings.HasSuffix(topic, ".accepted") && lost < 7 {
			lost++
			return true
		}
		return false
	}
	s.serve(t, b)
	s.queue("a", Names("d-", 10))
	path := filepath.Join(t.TempDir(), "journal")
	if _, err := Run(testContext(t), Config{MQTTURL: b.mqttURL, NATSURL: b.ClientURL(), Devices: 10, Prefix: "d-",
		Patience: 300 * time.Millisecond, Journal: path, UntilJobs: 1}); err != nil {
		t.Fatal(err)
	}
	summary := summarize(t, path)
	if n := summary.Waiting + len(summary.Unanswered); n < lost || summary.Sent != summary.Answered+n {
		t.Errorf("%d answers were lost; the journal says %d sent, %d answered, %v not", lost, summary.Sent, summary.Answered, summary.Unanswered)
	}
}
