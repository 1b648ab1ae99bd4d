package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

func jobAssociate(a *app) *cobra.Command {
	q := new(v1.AssociateTargets)
	var targets []string
	cmd := &cobra.Command{
		Use:   "associate JOB --target TARGET…",
		Short: "Give a continuous job more targets",
		Long: `Gives a continuous job that is IN_PROGRESS more targets, things or groups. Things that were in one of its targets already
are not selected again. A target is never taken away from a job.`,
		Example:           `  drover job associate fw-5 --target group/press-line-2 --comment "hall 4 is ready"`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeJobs,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if q.JobId, err = jobArg(args[0]); err != nil {
				return err
			}
			if len(targets) == 0 {
				return usagef("--target is missing: thing/NAME, group/NAME or an ARN")
			}
			if q.Targets, err = body.Targets("targets", targets); err != nil {
				return err
			}
			reply, err := tell(cmd.Context(), a, bus.AssociateTargets, q)
			if err != nil {
				return err
			}
			return a.done(doneView{Position: id.FormatPosition(reply.GetPosition()), JobID: q.JobId},
				fmt.Sprintf("%s has %s more", q.JobId, plural(len(q.Targets), "target")))
		},
	}
	cmd.Flags().StringArrayVar(&targets, "target", nil, "thing/NAME, group/NAME or an ARN; may be repeated")
	cmd.Flags().StringVar(&q.Comment, "comment", "", "why, in words")
	return cmd
}
