package cli

import (
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

func jobList(a *app) *cobra.Command {
	var statusText, selectionText, group string
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List jobs, newest first",
		Long:  `Lists jobs, the newest first.`,
		Example: `  drover job list --status IN_PROGRESS
  drover job list --selection CONTINUOUS --group press-line`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := &v1.ListJobs{Freshness: fresh}
			var err error
			if q.Status, err = jobStatus(statusText); err != nil {
				return err
			}
			n, err := body.Enum("targetSelection", selectionText, v1.TargetSelection(0))
			if err != nil {
				return err
			}
			q.TargetSelection = v1.TargetSelection(n)
			if group != "" {
				if q.Group, err = groupArg("thingGroupName", group); err != nil {
					return err
				}
			}
			l := list[*v1.JobRow]{
				a: a, name: "jobs", columns: []string{"JOB", "STATUS", "CREATED", "ENDED", "DESCRIPTION"},
				row: func(j *v1.JobRow) []string {
					return []string{j.GetJobId(), v1.EnumName(j.GetStatus()), when(j.GetCreatedAtMs()), when(j.GetCompletedAtMs()),
						orDash(shorten(j.GetDescription(), 60))}
				},
				view: func(j *v1.JobRow) any { return viewJob(j, nil) },
			}
			return l.pages(limit, func(size uint32, token string) ([]*v1.JobRow, string, error) {
				q.Page = &v1.Page{Limit: size, Token: token}
				r, err := query(cmd.Context(), a, bus.ListJobs, q)
				return r.GetJobs(), r.GetNextToken(), err
			})
		},
	}
	statusFlag(cmd, &statusText, v1.JobStatus(0).Descriptor())
	f := cmd.Flags()
	f.StringVar(&selectionText, "selection", "", "only SNAPSHOT or CONTINUOUS ones")
	f.StringVar(&group, "group", "", "only jobs that have this group as a target")
	_ = cmd.RegisterFlagCompletionFunc("selection", cobra.FixedCompletions(statusNames(v1.TargetSelection(0).Descriptor()), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("group", a.completeGroups)
	limitFlag(cmd, &limit)
	return cmd
}

// shorten cuts a text for a cell of a table.
func shorten(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most-1]) + "…"
}
