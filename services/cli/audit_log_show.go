package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

func auditLogShow(a *app, from *logSource) *cobra.Command {
	return &cobra.Command{
		Use:   "show LOG NUMBER",
		Short: "Show one commit",
		Long: `Shows one commit of a log: who wrote it and when, what had been read of other logs, and its events with their causes and
reasons.`,
		Example: `  drover audit log show rollout 12 --data /var/lib/drover`,
		Args:    takes(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := logArg(args[0])
			if err != nil {
				return err
			}
			number, err := strconv.ParseUint(args[1], 10, 48)
			if err != nil || number == 0 {
				return invalid("number", "%.40q is no commit's number: 1, 2, 3, …", args[1])
			}
			o, err := from.open(cmd.Context())
			if err != nil {
				return err
			}
			defer o.close()
			log, err := o.log(name)
			if err != nil {
				return err
			}
			_, last, err := log.Bounds(cmd.Context())
			if err != nil {
				return err
			}
			if number > last {
				return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "number", "log %s ends at %d", name, last)
			}
			c, err := log.Read(cmd.Context(), number)
			if err != nil {
				return err
			}
			return a.printCommit(c)
		},
	}
}

func (a *app) printCommit(c *eventstore.Commit) error {
	if a.json() {
		v := viewMessage(c.Commit)
		v = append(v, member{"hash", fmt.Sprintf("%x", c.Hash[:])}, member{"bytes", c.Size})
		return a.printJSON(v)
	}
	var read []string
	for _, u := range c.Cursors {
		read = append(read, positionText(id.Log{Service: u.GetService(), Home: id.Home(u.GetHome())}.Position(u.GetNumber(), 0)))
	}
	if err := a.printFields(
		field{"Commit", positionText(c.Log.Position(c.Number, 0))},
		field{"Written", moment(c.AtMs)},
		field{"Owner", fmt.Sprintf("%s, epoch %d", c.Owner, c.Epoch)},
		field{"Read", strings.Join(read, ", ")},
		field{"Effects done", fmt.Sprint(c.EffectsDone)},
		field{"Bytes", fmt.Sprint(c.Size)},
		field{"Hash", fmt.Sprintf("%x", c.Hash[:])},
		field{"Previous hash", fmt.Sprintf("%x", c.PreviousHash)},
	); err != nil {
		return err
	}
	for i, e := range c.Entries {
		if err := a.printEvent(&v1.RecordedEvent{Position: c.Log.Position(c.Number, i), AtMs: c.AtMs, Entry: e}); err != nil {
			return err
		}
	}
	return nil
}
