package cli

import (
	"errors"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func inboxOutcome(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "outcome COMMAND-ID",
		Short: "Show what came of a durable command",
		Long: `Shows what came of a durable command: the reply, or the refusal. An outcome is kept for 24 hours; of several commands with
one id it is the last one's. While a command waits for its service there is none yet, and the exit status is 3.`,
		Example:           `  drover inbox outcome deploy-1182 --output json`,
		Args:              takes(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := bus.CheckCommandID(args[0]); err != nil {
				return err
			}
			o, err := ask(cmd.Context(), a, bus.GetOutcome, &v1.GetOutcome{CommandId: args[0]})
			if err != nil {
				return err
			}
			return a.printOutcome(o)
		},
	}
}

func (a *app) printOutcome(o *v1.Outcome) error {
	if a.json() {
		return a.printJSON(viewOutcome(o))
	}
	outcome, why := "accepted", ""
	if r := o.GetRefusal(); r != nil {
		outcome, why = "refused", r.Error()+" ("+v1.EnumName(r.GetCode())+")"
	}
	return a.printFields(
		field{"Command", o.GetCommandId()}, field{"Operation", o.GetOperation()}, field{"Outcome", outcome},
		field{"Decided", when(o.GetAtMs())}, field{"Reply", o.GetReplyJson()}, field{"Reason", why},
	)
}

// refusedAs says whether an error is a refusal with this code.
func refusedAs(err error, code v1.RefusalCode) bool {
	var r *v1.Refusal
	return errors.As(err, &r) && r.Code == code
}
