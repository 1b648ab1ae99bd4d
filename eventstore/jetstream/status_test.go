package jetstream

import (
	"testing"

	"github.com/nats-io/nats.go"
)

func TestWhatTheServerSaysOfAConsumer(t *testing.T) {
	const delivered = 7
	for _, tc := range []struct {
		code, text, last string
		again, stale     bool
	}{
		{code: "100", text: "Idle Heartbeat", last: "7"},
		{code: "100", text: "Idle Heartbeat"},
		{code: "100", text: "Idle Heartbeat", last: "8", stale: true}, // sent, and never arrived
		{code: "408", text: "Request Timeout", again: true},
		{code: "409", text: "Message Size Exceeds MaxBytes", again: true},
		{code: "409", text: "Batch Completed", again: true},
		{code: "409", text: "Consumer Deleted", stale: true},
		{code: "409", text: "Leadership Change", stale: true},
		{code: "503", stale: true},
		{stale: true},
	} {
		msg := &nats.Msg{Header: nats.Header{"Status": {tc.code}, "Description": {tc.text}, "Nats-Last-Consumer": {tc.last}}}
		again, err := status(msg, delivered)
		if again != tc.again || (err != nil) != tc.stale {
			t.Errorf("%+v: got %v, %v", tc, again, err)
		}
	}
}
