package jetstream

import (
	"errors"
	"testing"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/proto/id"
)

func TestNamesAreBuiltAndParsedByTwins(t *testing.T) {
	for _, tc := range []struct {
		log             id.Log
		row             int
		stream, subject string
	}{
		{id.JobLog, 1, "log-job-0001", "log.job.1"},
		{id.TargetingLog, 2, "log-targeting-0002", "log.targeting.2"},
		{id.RolloutLog, 9999, "log-rollout-9999", "log.rollout.9999"},
		{id.ExecutionLog(3), 1, "log-execution-3-0001", "log.execution.3.1"},
		{id.ExecutionLog(65535), 12, "log-execution-65535-0012", "log.execution.65535.12"},
	} {
		if s := StreamName(tc.log, tc.row); s != tc.stream {
			t.Errorf("stream of %s: got %s, want %s", tc.log, s, tc.stream)
		}
		if s := Subject(tc.log, tc.row); s != tc.subject {
			t.Errorf("subject of %s: got %s, want %s", tc.log, s, tc.subject)
		}
		if log, row, err := ParseStreamName(tc.stream); err != nil || log != tc.log || row != tc.row {
			t.Errorf("%s: got %s %d, %v", tc.stream, log, row, err)
		}
		if log, row, err := ParseSubject(tc.subject); err != nil || log != tc.log || row != tc.row {
			t.Errorf("%s: got %s %d, %v", tc.subject, log, row, err)
		}
	}
	for _, s := range []string{"", "log", "log-", "log-job", "log-job-1", "log-job-00001", "log-job-0000", "log-job-3-0001", "log-execution-0001",
		"log-execution--0001", "log-execution-03-0001", "log-nobody-0001", "xlog-job-0001", "log-job-+001", "log.job-0001"} {
		if log, row, err := ParseStreamName(s); err == nil {
			t.Errorf("stream %q: got %s %d", s, log, row)
		}
	}
	for _, s := range []string{"", "log", "log.job", "log.job.0", "log.job.01", "log.job.-1", "log.execution.1", "log.execution.x.1", "log.job.1.1", "log-job.1"} {
		if log, row, err := ParseSubject(s); err == nil {
			t.Errorf("subject %q: got %s %d", s, log, row)
		}
	}
}

func FuzzNames(f *testing.F) {
	f.Add("log-job-0001")
	f.Add("log-execution-3-0001")
	f.Add("log.execution.3.1")
	f.Fuzz(func(t *testing.T, s string) {
		if log, row, err := ParseStreamName(s); err == nil && StreamName(log, row) != s {
			t.Errorf("stream %q is %s %d", s, log, row)
		}
		if log, row, err := ParseSubject(s); err == nil && Subject(log, row) != s {
			t.Errorf("subject %q is %s %d", s, log, row)
		}
	})
}

func TestAnswersToAnAppendAreTranslated(t *testing.T) {
	b := &Backend{stream: "log-job-0001", subject: "log.job.1"}
	failed := func(code, text string) string {
		return `{"error":{"code":503,"err_code":` + code + `,"description":"` + text + `"},"stream":"log-job-0001","seq":0}`
	}
	other := errors.New("outcome unknown")
	for answer, want := range map[string]error{
		`{"stream":"log-job-0001","seq":7}`:                         nil,
		failed("10071", "wrong last sequence: 9"):                   eventstore.ErrConflict,
		failed("10164", "wrong last sequence"):                      eventstore.ErrConflict,
		failed("10077", "maximum bytes exceeded"):                   eventstore.ErrFull,
		failed("10047", "insufficient storage resources available"): eventstore.ErrFull,
		failed("10023", "insufficient resources"):                   eventstore.ErrFull,
		failed("10002", "resource limits exceeded for account"):     eventstore.ErrFull,
		failed("10077", "something else"):                           other,
		failed("10167", "too many requests"):                        other,
		`{"stream":"log-job-0001","seq":8}`:                         other,
		`{"stream":"spy","seq":7}`:                                  other,
		`{}`:                                                        other,
		``:                                                          other,
		`not JSON`:                                                  other,
	} {
		err := b.acked(7, []byte(answer))
		known := errors.Is(err, eventstore.ErrConflict) || errors.Is(err, eventstore.ErrFull)
		switch {
		case want == other && (err == nil || known), want != other && !errors.Is(err, want), want == nil && err != nil:
			t.Errorf("%s: got %v, want %v", answer, err, want)
		}
	}
}

func FuzzAnAnswerIsSuccessOnlyIfItSaysSo(f *testing.F) {
	f.Add([]byte(`{"stream":"log-job-0001","seq":7}`))
	f.Add([]byte(`{"error":{"err_code":10071}}`))
	b := &Backend{stream: "log-job-0001", subject: "log.job.1"}
	f.Fuzz(func(t *testing.T, answer []byte) {
		if b.acked(7, answer) == nil && b.acked(8, answer) == nil {
			t.Fatalf("%s is success at 7 and at 8", answer)
		}
	})
}
