package sim

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/droverhq/drover/eventstore"
	"google.golang.org/protobuf/encoding/prototext"
)

// Shows all that happens under one seed, and what the logs hold then: go test ./services/sim -run TestShow -v -seed N
func TestShow(t *testing.T) {
	if *seed == 0 {
		t.Skip("no -seed is given")
	}
	w := newWorld(*seed)
	w.tell = append(w.tell, os.Stdout)
	err := w.run()
	for _, l := range w.logs {
		_, last, _ := l.log.Bounds(context.Background())
		_ = l.log.ReadTo(context.Background(), eventstore.Mark{}, last, func(c *eventstore.Commit) error {
			fmt.Printf("%s@%d at %d %s epoch %d cursors %v\n", l.name, c.Number, c.AtMs-epochMs, c.Owner, c.Epoch, c.Cursors)
			for n, e := range c.Entries {
				s := prototext.MarshalOptions{}.Format(e)
				fmt.Printf("    %d %.300s\n", n, s)
			}
			return nil
		})
	}
	fmt.Println(w.ticks, err)
}
