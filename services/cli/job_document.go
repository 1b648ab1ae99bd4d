package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func jobDocument(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "document JOB",
		Short: "Print a job's document",
		Long: `Prints the document as it was given, byte for byte, with the parameters of its template filled in; so it can be read by
another program. With --output json it stands as text in a JSON object.`,
		Example:           `  drover job document fw-1`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeJobs,
		RunE: ofJob(func(ctx context.Context, job string) error {
			reply, err := query(ctx, a, bus.DescribeJob, &v1.DescribeJob{Freshness: fresh, JobId: job, IncludeDocument: true})
			if err != nil {
				return err
			}
			text := string(reply.GetJob().GetDocument())
			if a.json() {
				return a.printJSON(object{{"jobId", job}, {"document", text}})
			}
			_, err = fmt.Fprint(a.out, text)
			return err
		}),
	}
}
