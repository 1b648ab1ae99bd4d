package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/job/document"
)

func jobCreate(a *app) *cobra.Command {
	var text, description, from string
	var targets []string
	var perMinute uint32
	var inProgress time.Duration
	cmd := &cobra.Command{
		Use:   "create JOB --document TEXT|@FILE|- --target TARGET… | [JOB] --from FILE",
		Short: "Create a job",
		Long: `Creates a job for the targets, which are things and groups: thing/NAME, group/NAME, or ARNs. A thing that is reached
twice gets one execution. An unknown target refuses the job, and nothing is created.

--from reads the body of AWS's CreateJob, as in aws iot create-job --cli-input-json; its jobId may stand in the file. What
this version does not do yet is refused by name, never ignored.`,
		Example: `  drover job create fw-1 --document '{"operation":"install"}' --target group/press-line --per-minute 600
  drover job create fw-1 --document @fw-1.json --target thing/press-07 --in-progress-timeout 30m
  drover job create --from create-job.json`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := new(v1.CreateJob)
			if from != "" {
				var err error
				if q, err = a.jobFromFile(cmd, from); err != nil {
					return err
				}
			} else if len(args) == 0 || text == "" || len(targets) == 0 {
				return usagef("a job id, --document and --target are needed, or --from FILE")
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
			if from == "" {
				var err error
				if q.Document, err = a.documentText(text); err != nil {
					return err
				}
				if q.Targets, err = targetArgs(targets); err != nil {
					return err
				}
				if q.Timeout, err = timeoutArg(inProgress, cmd.Flags().Changed("in-progress-timeout")); err != nil {
					return err
				}
				if q.Rollout, err = paceArg(perMinute, cmd.Flags().Changed("per-minute")); err != nil {
					return err
				}
				q.Description = description
			}
			if err := checkDocument(q.Document); err != nil {
				return err
			}
			return createJob(cmd, a, q)
		},
	}
	f := cmd.Flags()
	f.StringVar(&text, "document", "", "JSON for the devices: the text, @FILE, or - for stdin")
	f.StringArrayVar(&targets, "target", nil, "thing/NAME, group/NAME or an ARN; may be repeated")
	f.StringVar(&description, "description", "", "what it is for")
	f.Uint32Var(&perMinute, "per-minute", 0, "things a minute (default: no pace)")
	f.DurationVar(&inProgress, "in-progress-timeout", 0, "executions time out so long after they start: whole minutes, up to 168h (default: never)")
	f.StringVar(&from, "from", "", "file with the body of AWS's CreateJob; - is stdin")
	return cmd
}

// jobFromFile reads the body of AWS's CreateJob. What the file says is said in no flag.
func (a *app) jobFromFile(cmd *cobra.Command, path string) (*v1.CreateJob, error) {
	for _, name := range []string{"document", "target", "description", "per-minute", "in-progress-timeout"} {
		if cmd.Flags().Changed(name) {
			return nil, usagef("--%s stands beside --from; the file says it", name)
		}
	}
	body, err := a.readAll(path, bus.CommandMax)
	if err != nil {
		return nil, err
	}
	if len(body) > bus.CommandMax {
		return nil, invalid("", "the body is longer than %d bytes", bus.CommandMax)
	}
	return parseCreateJob(body)
}

// paceArg is the pace of --per-minute; nil without it.
func paceArg(perMinute uint32, given bool) (*v1.RolloutConfig, error) {
	switch {
	case !given:
		return nil, nil
	case perMinute == 0:
		return nil, invalid("jobExecutionsRolloutConfig.maximumPerMinute", "is 0; 1 or more is needed, or no --per-minute for no pace")
	}
	return &v1.RolloutConfig{MaximumPerMinute: perMinute}, nil
}

func createJob(cmd *cobra.Command, a *app, q *v1.CreateJob) error {
	reply, err := tell(cmd.Context(), a, bus.CreateJob, q)
	if err != nil {
		return err
	}
	if a.json() {
		return a.printJSON(doneView{Position: id.FormatPosition(reply.GetPosition()), JobID: q.JobId, Job: reply.GetJob()})
	}
	_, err = fmt.Fprintf(a.out, "created job %s; follow it with: drover job watch %s\n", q.JobId, q.JobId)
	return err
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

func timeoutArg(d time.Duration, given bool) (*v1.TimeoutConfig, error) {
	if !given {
		return nil, nil
	}
	if d < time.Minute || d > timeoutMinutesMax*time.Minute || d%time.Minute != 0 {
		return nil, invalid("timeoutConfig.inProgressTimeoutInMinutes", "is %v; whole minutes from 1m to 168h are allowed", d)
	}
	return &v1.TimeoutConfig{InProgressTimeoutMinutes: uint32(d / time.Minute)}, nil
}
