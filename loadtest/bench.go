package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// benchFigures are limit and report in turn.
type benchFigures struct {
	Limits  []limitFigures  `json:"limits"`
	Reports []reportFigures `json:"reports"`
	// Ratio is of the medians: reports a second to messages a second.
	Ratio     float64 `json:"ratio"`
	PeakBytes uint64  `json:"peakBytes"`
}

func (f benchFigures) table(w io.Writer) {
	for i := range f.Reports {
		fmt.Fprintf(w, "run %d\n", i+1)
		f.Limits[i].table(w)
		f.Reports[i].table(w)
	}
	fmt.Fprintf(w, "ratio    %9.2f               medians of %d runs each; the server and its client share the machine; server's peak memory %d MB\n",
		f.Ratio, len(f.Reports), f.PeakBytes>>20)
}

func benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Start drover in a temporary folder, and run limit and report in turn",
		Args:  cobra.NoArgs,
	}
	program := c.Flags().String("drover", "drover", "the program to measure")
	runs := c.Flags().Int("runs", 3, "of limit and report each")
	size := c.Flags().Int("size", 150, "bytes of a limit's message")
	keep := c.Flags().Bool("keep", false, "leave the temporary folder")
	config := reportFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		s, err := startSystem(c.Context(), *program)
		if err != nil {
			return err
		}
		defer s.stop(*keep)
		var f benchFigures
		for i := range *runs {
			l, err := limit(c.Context(), s, *size, 4*time.Second)
			if err != nil {
				return fmt.Errorf("limit: %w", err)
			}
			config.Run = strconv.Itoa(i)
			r, err := report(c.Context(), s, *config)
			if err != nil {
				return fmt.Errorf("report: %w", err)
			}
			if r.Rejected > 0 {
				return fmt.Errorf("%d reports were rejected; the first: %s", r.Rejected, r.FirstRejected)
			}
			f.Limits, f.Reports = append(f.Limits, l), append(f.Reports, r)
		}
		f.Ratio = median(f.Reports, func(r reportFigures) float64 { return r.PerSecond }) / median(f.Limits, func(l limitFigures) float64 { return l.PerSecond })
		f.PeakBytes, _ = peakMemory(s.PID)
		return show(c, f)
	}
	return c
}

func median[T any](list []T, of func(T) float64) float64 {
	var values []float64
	for _, v := range list {
		values = append(values, of(v))
	}
	slices.Sort(values)
	n := len(values)
	if n == 0 {
		return 0
	}
	return (values[(n-1)/2] + values[n/2]) / 2
}
