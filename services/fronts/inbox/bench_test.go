package inbox_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/droverhq/drover/services/fronts/inbox"
)

// Commands a second through the inbox, of one service, with services that decide at once and write nothing: what the
// inbox itself costs. `go test -bench Inbox -benchtime 2000x ./services/fronts/inbox`
func BenchmarkInbox(b *testing.B) {
	for _, services := range []int{1, 2} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			s := start(b, inbox.Limits{})
			s.decider()
			for n := range b.N {
				if n%services == 0 {
					s.send("job.cancel", cancel(n), fmt.Sprint("c-", n))
				} else {
					s.send("targeting.create-things", things(fmt.Sprint("t-", n)), fmt.Sprint("t-", n))
				}
			}
			b.ResetTimer()
			i := s.inbox()
			s.awaitEmpty(i)
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commands/s")
			if stats, err := i.Stats(context.Background()); err != nil || stats.Accepted != uint64(b.N) || stats.Retried != 0 {
				b.Errorf("%+v %v", stats, err)
			}
		})
	}
}
