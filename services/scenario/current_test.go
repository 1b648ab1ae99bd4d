package scenario

import (
	"fmt"
	"testing"
)

// A paced job with abort criteria is released when its slots are due, like one without: the state that it waits for comes
// in the same moment.
func TestACurrentStateComesWhenItIsAskedFor(t *testing.T) {
	for _, abort := range []string{"", `,"abort":{"criteria":[{"failure":"FAILED","thresholdHundredths":6000,"minExecuted":3}]}`} {
		t.Run(fmt.Sprint("criteria=", abort != ""), func(t *testing.T) {
			r := newRun(t)
			r.fleet(8)
			r.create("fw", `"targets":["group/lamps"],"rollout":{"maximumPerMinute":2}`+abort)
			queued(r)
			r.queuedBy(60_000, 4, func(n int) {
				if n != 2 {
					t.Errorf("%d were queued in a minute, not 2", n)
				}
			})
		})
	}
}
