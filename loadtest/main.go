// Loadtest measures Drover from outside, over its own bus and the devices' topics.
//
//	loadtest limit     what one publisher persists on the hub's broker: the yardstick
//	loadtest report    devices that start, progress and end jobs as fast as they are answered
//	loadtest bench     starts drover, and runs both in turn
//	loadtest million   starts drover, and queues a job on a million things while one device goes on reporting
//
// Every figure is printed with its configuration, its seed and the version, so that two runs can be compared, and
// with what may have spoilt it: the longest append and the CPU time that others took.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{
		Use:           "loadtest",
		Short:         "Measure Drover",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().String("output", "table", "table or json")
	root.AddCommand(limitCommand(), reportCommand(), benchCommand(), millionCommand())
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "loadtest:", err)
		os.Exit(1)
	}
}

// figures can be printed for people; for programs they are JSON.
type figures interface{ table(w io.Writer) }

// show prints figures as --output says.
func show(c *cobra.Command, f figures) error {
	switch output, _ := c.Flags().GetString("output"); output {
	case "json":
		e := json.NewEncoder(c.OutOrStdout())
		e.SetIndent("", "  ")
		return e.Encode(f)
	case "table":
		f.table(c.OutOrStdout())
		return nil
	default:
		return fmt.Errorf("--output %q: table or json is allowed", output)
	}
}
