package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// The exit status says which kind of end it was; scripts may rely on it.
const (
	exitDone        = 0
	exitFailed      = 1 // tried and not achieved: an audit that does not agree, a job that was canceled, a fault of ours
	exitUsage       = 2 // the command line was not understood; nothing was tried
	exitRefused     = 3 // understood and not granted; nothing was changed
	exitUnavailable = 4 // nobody answers, or too much waits there; nothing was changed, ask again
	exitUnknown     = 5 // it may or may not have been done; look, or repeat it with the same --command-id
)

// exitOf has the refusals that do not mean exitRefused.
var exitOf = map[v1.RefusalCode]int{
	v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE:     exitUnavailable,
	v1.RefusalCode_REFUSAL_CODE_THROTTLED:       exitUnavailable,
	v1.RefusalCode_REFUSAL_CODE_OUTCOME_UNKNOWN: exitUnknown,
	v1.RefusalCode_REFUSAL_CODE_INTERNAL:        exitFailed,
}

func exitStatus(err error) int {
	var usage usageError
	var refusal *v1.Refusal
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &refusal):
		if status, ok := exitOf[refusal.Code]; ok {
			return status
		}
		return exitRefused
	}
	return exitFailed
}

// usageError is a command line that was not understood.
type usageError string

func (e usageError) Error() string { return string(e) }

func usagef(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

// invalid is the refusal of what this program can already see to be wrong, as the owner would refuse it.
func invalid(field, format string, args ...any) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, field, format, args...)
}

// invalidErr is invalid with an error's text.
func invalidErr(field string, err error) error { return invalid(field, "%v", err) }

// explain is what a person reads of an error: what, and which code; for an unknown outcome, how to learn it.
func (a *app) explain(err error) string {
	var refusal *v1.Refusal
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case !errors.As(err, &refusal):
		return err.Error()
	}
	text := err.Error() + " (" + v1.EnumName(refusal.Code) + ")"
	if refusal.State != nil {
		text += fmt.Sprintf("; it is %s at version %d", v1.EnumName(refusal.State.Status), refusal.State.VersionNumber)
	}
	if refusal.Code == v1.RefusalCode_REFUSAL_CODE_OUTCOME_UNKNOWN && a.commandID != "" {
		text += "; repeat it with --command-id " + a.commandID + " to learn the outcome"
	}
	return text
}

// takes checks the number of arguments and names them when it is wrong. A most of -1 is any number.
func takes(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || most >= 0 && len(args) > most {
			return usagef("%d arguments; the form is: drover %s", len(args), useLine(cmd))
		}
		return nil
	}
}

// useLine is the command with its arguments, without the program's name: "job describe JOB".
func useLine(cmd *cobra.Command) string {
	line := cmd.Use
	for p := cmd.Parent(); p != nil && p.HasParent(); p = p.Parent() {
		line = p.Name() + " " + line
	}
	return line
}

// noSuchCommand refuses arguments where a command's name was expected.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("%s has no command %.40q", cmd.CommandPath(), args[0])
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += "; did you mean " + near[0] + "?"
	}
	return usagef("%s; see %s --help", text, cmd.CommandPath())
}
