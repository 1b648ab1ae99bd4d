package rollout

import (
	"strings"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core/coretest"
)

// rowsMax is how many rows one step of the tests below may take away, at a thousand to a slice.
const rowsMax = 1100

// What is left of a deleted job goes in slices, one a step, and then nothing is left: neither of 20,000 things that left
// while others waited, nor of 3,000 releases of a minute.
func TestWhatIsLeftOfADeletedJobIsForgottenInSlices(t *testing.T) {
	fresh := coretest.Dump(newRun(t).State)
	for _, c := range []struct {
		name  string
		given func(r run)
		least int // slices
	}{
		{"marks of withdrawals", func(r run) {
			r.createWith(&v1.JobCreated{TargetSelection: continuous, Rollout: &v1.RolloutConfig{MaximumPerMinute: 1}})
			for i := range 20 {
				r.selects(7, i*1000, 1000)
			}
			for i := range 20 {
				r.leaves(7, i*1000, 1000)
			}
		}, 36},
		{"releases of a minute", func(r run) {
			r.createWith(&v1.JobCreated{TargetSelection: continuous, Rollout: &v1.RolloutConfig{MaximumPerMinute: 6000}})
			for i := range 4 {
				r.selects(7, i*1000, 1000)
			}
			for range 3000 {
				r.Now += 10
				r.Due()
			}
		}, 2},
		{"nothing", func(r run) { r.create(7, 0) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRun(t)
			r.Seldom = true
			c.given(r)
			r.deletes(7)
			slices := 0
			for r.Due(); r.Next == r.Now+1; r.Due() {
				slices++
				r.Now++
			}
			if slices < c.least || slices > 2*c.least+1 {
				t.Errorf("%d slices, want %d or some more", slices, c.least)
			}
			if n := strings.Count(coretest.Dump(r.State), "\n"); n > rowsMax {
				t.Errorf("%d rows are left for the last step", n)
			}
			r.settle(0, 7, deleted)
			r.settle(1, 7, deleted)
			wantKinds(t, r.Fresh, "Observed JobDrained ")
			if left := coretest.Dump(r.State); left != fresh {
				t.Errorf("left: %s", left)
			}
		})
	}
}
