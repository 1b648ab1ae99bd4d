package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/body"
	"github.com/droverhq/drover/services/job/document"
)

// createFlags are all flags of job create but --from.
type createFlags struct {
	configFlags
	scheduleFlags
	document, description string
	targets               []string
	continuous            bool
	template              string
	parameters, tags      []string
}

func (c *createFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.document, "document", "", "JSON for the devices: the text, @FILE, or - for stdin")
	f.StringArrayVar(&c.targets, "target", nil, "thing/NAME, group/NAME or an ARN; may be repeated")
	f.StringVar(&c.description, "description", "", "what it is for")
	f.BoolVar(&c.continuous, "continuous", false, "also for things that join its groups later, until it is canceled or its end time comes")
	f.StringVar(&c.template, "template", "", "take document and configuration from this template, own or managed: its name or ARN; flags win over it")
	f.StringArrayVar(&c.parameters, "param", nil, "parameter of a managed template: KEY=VALUE; may be repeated")
	f.StringArrayVar(&c.tags, "tag", nil, "tag: KEY=VALUE; may be repeated")
	c.configFlags.add(cmd)
	c.scheduleFlags.add(cmd)
}

func (c *createFlags) names() []string {
	own := []string{"document", "target", "description", "continuous", "template", "param", "tag"}
	return slices.Concat(own, c.configFlags.names(), c.scheduleFlags.names())
}

// request is the command that the flags ask for, without the job's id.
func (c *createFlags) request(cmd *cobra.Command, a *app) (*v1.CreateJob, error) {
	q := &v1.CreateJob{Description: c.description, JobTemplate: c.template}
	var err error
	if c.document != "" {
		if q.Document, err = a.documentText(c.document); err != nil {
			return nil, err
		}
	}
	if q.Targets, err = body.Targets("targets", c.targets); err != nil {
		return nil, err
	}
	j, err := c.configFlags.config(cmd)
	if err != nil {
		return nil, err
	}
	q.Rollout, q.Abort, q.Retry, q.Timeout, q.PresignedUrl = j.rollout, j.abort, j.retry, j.timeout, j.presigned
	if q.Scheduling, err = c.scheduleFlags.config(); err != nil {
		return nil, err
	}
	if c.continuous {
		q.TargetSelection = v1.TargetSelection_TARGET_SELECTION_CONTINUOUS
	} else if len(c.windows) > 0 {
		return nil, invalid(fieldWindows, "--window needs --continuous: only continuous jobs have maintenance windows")
	}
	if q.Tags, err = tagArgs(c.tags); err != nil {
		return nil, err
	}
	q.DocumentParameters, err = parameterArgs(c.parameters)
	return q, err
}

func jobCreate(a *app) *cobra.Command {
	var flags createFlags
	var from string
	cmd := &cobra.Command{
		Use:   "create JOB --document TEXT|@FILE|- | --template NAME, --target TARGET… | [JOB] --from FILE",
		Short: "Create a job",
		Long: `Creates a job for the targets, which are things and groups: thing/NAME, group/NAME, or ARNs. A thing that is reached
twice gets one execution. An unknown target refuses the job, and nothing is created.

--rate 50x2/1000succeeded,max=1000 begins with 50 things a minute and doubles with every 1,000 that succeeded, up to 1,000
a minute. --abort FAILED:5%:200 cancels the job, without force, once 200 executions have ended and 5 % of them FAILED; then
it says how many things can still be released after the report that crosses it. --retry FAILED=3 gives a thing up to three
more attempts, at the end of its queue. --window opens the job for that long, each time; between its windows nothing is
released, and devices do not see what is queued. --timeout is the job's here, not that of this request.

--from reads the body of AWS's CreateJob, as in aws iot create-job --cli-input-json; its jobId may stand in the file. What
this version does not do is refused by name, never ignored.`,
		Example: createExamples,
		Args:    takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := a.createRequest(cmd, &flags, from, len(args))
			if err != nil {
				return err
			}
			if len(args) == 1 {
				job, err := jobArg(args[0])
				if err != nil {
					return err
				}
				if q.JobId != "" && q.JobId != job {
					return invalid("jobId", "is %s on the command line and %s in the file", job, q.JobId)
				}
				q.JobId = job
			}
			if q.JobId == "" {
				return usagef("no job id; give it as an argument, or as jobId in the file")
			}
			if q.JobTemplate == "" || q.Document != nil {
				if err := body.CheckDocument(q.Document); err != nil {
					return err
				}
			}
			return createJob(cmd, a, q)
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&from, "from", "", "file with the body of AWS's CreateJob; - is stdin")
	return cmd
}

// createExamples has every flag of a job's configuration at work once.
const createExamples = `  drover job create fw-1 --document '{"operation":"install"}' --target group/press-line --per-minute 600
  drover job create fw-2 --document @fw-2.json --target thing/press-07 --timeout 20m --retry FAILED=3 --retry TIMED_OUT=1
  drover job create fw-3 --document @fw-3.json --target group/presses --rate 50x2/1000succeeded,max=1000 --abort FAILED:5%:200
  drover job create fw-4 --document @fw-4.json --target group/presses --start '2026-11-29 02:30' --end 2026-12-01T06:00:00Z --end-behavior cancel
  drover job create fw-5 --document @fw-5.json --target group/presses --continuous --window 'cron(30 2 ? * SUN *)/90m'
  drover job create restart-1 --template AWS-Restart-Application --param services=opc-bridge --target thing/press-07
  drover job create fw-6 --document @fw-6.json --target thing/press-07 --presign-role arn:aws:iam::123456789012:role/jobs --presign-expires 15m
  drover job create fw-7 --template nightly --target group/presses --tag line=2 --description "valves"
  drover job create --from create-job.json`

// createRequest is the job as flags or file say it.
func (a *app) createRequest(cmd *cobra.Command, flags *createFlags, from string, args int) (*v1.CreateJob, error) {
	if from == "" {
		if args == 0 || flags.document == "" && flags.template == "" || len(flags.targets) == 0 {
			return nil, usagef("a job id, --document or --template, and --target are needed, or --from FILE")
		}
		return flags.request(cmd, a)
	}
	for _, name := range flags.names() { // what the file says is said in no flag
		if cmd.Flags().Changed(name) {
			return nil, usagef("--%s stands beside --from; the file says it", name)
		}
	}
	text, err := a.readAll(from, bus.CommandMax)
	if err != nil {
		return nil, err
	}
	if len(text) > bus.CommandMax {
		return nil, invalid("", "the text is longer than %d bytes", bus.CommandMax)
	}
	return body.CreateJob(text)
}

func createJob(cmd *cobra.Command, a *app, q *v1.CreateJob) error {
	reply, err := tell(cmd.Context(), a, bus.CreateJob, q)
	if err != nil {
		return err
	}
	bound := a.boundOf(cmd.Context(), q)
	if a.json() {
		return a.printJSON(doneView{Position: id.FormatPosition(reply.GetPosition()), JobID: q.JobId, Job: reply.GetJob(), AbortBound: bound})
	}
	text := fmt.Sprintf("created job %s; follow it with: drover job watch %s\n", q.JobId, q.JobId)
	if bound > 0 {
		text += fmt.Sprintf("at most %s can be released after the report that crosses an abort criterion\n", plural(bound, "thing"))
	}
	_, err = io.WriteString(a.out, text)
	return err
}

// boundOf is the abortBound of a job that was created. A pace that was not given (by the caller, or by the caller alone)
// only the job itself can tell: a template or the system's limits may have set it.
func (a *app) boundOf(ctx context.Context, q *v1.CreateJob) uint64 {
	if q.JobTemplate == "" && (q.Abort == nil || q.Rollout.GetMaximumPerMinute() > 0) {
		return abortBound(q.Abort, q.Rollout)
	}
	r, err := query(ctx, a, bus.DescribeJob, &v1.DescribeJob{Freshness: fresh, JobId: q.JobId})
	if err != nil {
		fmt.Fprintf(a.err, "drover: the job is created; its pace, and so the bound of its abort, could not be read: %v\n", err)
		return 0
	}
	return abortBound(r.GetJob().GetAbort(), r.GetJob().GetRollout())
}

// documentText reads --document.
func (a *app) documentText(s string) ([]byte, error) {
	name, file := strings.CutPrefix(s, "@")
	if s == "-" || file {
		return a.readAll(name, document.BytesMax)
	}
	return []byte(s), nil
}

// readAll reads a file of at most most bytes; one that is longer comes with one byte more, for the check of its length.
func (a *app) readAll(name string, most int64) ([]byte, error) {
	r, err := a.open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, most+1))
}
