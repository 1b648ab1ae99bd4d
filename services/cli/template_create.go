package cli

import (
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

func templateCreate(a *app) *cobra.Command {
	var flags configFlags
	var document, job string
	var windows, tags []string
	t := new(v1.JobTemplate)
	cmd := &cobra.Command{
		Use:   "create TEMPLATE --description TEXT --document TEXT|@FILE|- | --job JOB",
		Short: "Create a job template",
		Long: `Creates a template from a document, or from a job: then it takes the job's document and configuration, and what is given
beside it wins. Targets, start and end are never kept, maintenance windows are.`,
		Example: `  drover template create nightly --document @nightly.json --description "nightly update" --per-minute 600 --retry FAILED=2
  drover template create like-fw-1 --job fw-1 --description "as fw-1 went" --abort FAILED:5%:200 --timeout 20m
  drover template create sundays --document '{}' --description "on Sundays" --window 'cron(30 2 ? * SUN *)/90m' --tag team=valves`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if t.TemplateId, err = templateArg(args[0]); err != nil {
				return err
			}
			if (document == "") == (job == "") {
				return usagef("one of --document and --job is needed")
			}
			if t.Description == "" {
				return invalid("description", "is missing: a template must say what it is for (--description)")
			}
			q := &v1.CreateTemplate{Template: t}
			if job != "" {
				if q.JobId, err = jobArg(job); err != nil {
					return err
				}
			} else {
				if t.Document, err = a.documentText(document); err != nil {
					return err
				}
				if err := body.CheckDocument(t.Document); err != nil {
					return err
				}
			}
			j, err := flags.config(cmd)
			if err != nil {
				return err
			}
			t.Rollout, t.Abort, t.Retry, t.Timeout, t.PresignedUrl = j.rollout, j.abort, j.retry, j.timeout, j.presigned
			if t.Windows, err = each(windows, parseWindow); err != nil {
				return err
			}
			if q.Tags, err = tagArgs(tags); err != nil {
				return err
			}
			reply, err := tell(cmd.Context(), a, bus.CreateTemplate, q)
			if err != nil {
				return err
			}
			return a.done(doneView{Position: id.FormatPosition(reply.GetPosition())},
				"created template "+t.TemplateId+"; use it with: drover job create JOB --template "+t.TemplateId+" --target TARGET")
		},
	}
	f := cmd.Flags()
	f.StringVar(&document, "document", "", "JSON for the devices: the text, @FILE, or - for stdin")
	f.StringVar(&job, "job", "", "take document and configuration from this job")
	f.StringVar(&t.Description, "description", "", "what it is for")
	flags.add(cmd)
	f.StringArrayVar(&windows, "window", nil, "maintenance window: cron expression in UTC / length, as in 'cron(30 2 ? * SUN *)/90m'; may be repeated")
	f.StringArrayVar(&tags, "tag", nil, "tag: KEY=VALUE; may be repeated")
	_ = cmd.RegisterFlagCompletionFunc("job", a.completeJobs)
	return cmd
}
