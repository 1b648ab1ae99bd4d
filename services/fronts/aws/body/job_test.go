package body

import (
	"errors"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

func FuzzCreateJob(f *testing.F) {
	f.Add([]byte(`{"jobId":"j","targets":["thing/t"],"document":"{}","timeoutConfig":{"inProgressTimeoutInMinutes":5}}`))
	f.Add([]byte(`{"jobExecutionsRolloutConfig":{"maximumPerMinute":5},"description":"\u00e4","targets":["arn:aws:iot:r:1:thing/t"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		q, err := CreateJob(text)
		if err == nil && (len(q.Targets) == 0 || q.Document == nil && q.JobTemplate == "") {
			t.Errorf("%q was taken as %v", text, q)
		}
		if refusal := (*v1.Refusal)(nil); err != nil && !errors.As(err, &refusal) {
			t.Errorf("%q: %v is no refusal", text, err)
		}
	})
}
