package inbox

import (
	"slices"
	"testing"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
)

// draining is an iterator that says what it is told to, and whether it was drained or stopped. After that it is silent, as the
// client's is while the connection is away.
type draining struct {
	js.MessagesContext
	calls []string
	says  []error
}

func (d *draining) Drain() { d.calls = append(d.calls, "drain") }
func (d *draining) Stop()  { d.calls = append(d.calls, "stop") }
func (d *draining) Next(...js.NextOpt) (js.Msg, error) {
	d.calls = append(d.calls, "next")
	if len(d.says) == 0 {
		return nil, nats.ErrTimeout
	}
	err := d.says[0]
	d.says = d.says[1:]
	return nil, err
}

func TestNothingIsGivenBackToABrokerThatIsAway(t *testing.T) {
	for what, c := range map[string]struct {
		connected []bool // at each look, then as at the last
		says      []error
		want      []string
	}{
		"it is away":                {[]bool{false}, nil, []string{"stop"}},
		"it goes away meanwhile":    {[]bool{true, true, false}, nil, []string{"drain", "next", "next"}},
		"it takes its time":         {[]bool{true}, []error{nats.ErrTimeout, js.ErrNoHeartbeat, js.ErrMsgIteratorClosed}, []string{"drain", "next", "next", "next"}},
		"there is nothing any more": {[]bool{true}, []error{js.ErrMsgIteratorClosed}, []string{"drain", "next"}},
	} {
		d := &draining{says: c.says}
		giveBack(d, func() bool {
			is := c.connected[0]
			if len(c.connected) > 1 {
				c.connected = c.connected[1:]
			}
			return is
		})
		if !slices.Equal(d.calls, c.want) {
			t.Errorf("%s: %v, want %v", what, d.calls, c.want)
		}
	}
}
