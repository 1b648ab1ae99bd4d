package cli

import (
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/droverhq/drover/eventstore"
)

type logView struct {
	Log    string `json:"log"`
	First  uint64 `json:"first"`
	Last   uint64 `json:"last"`
	LastAt string `json:"lastAt,omitempty"`
	Owner  string `json:"owner,omitempty"`
	Epoch  uint64 `json:"epoch,omitempty"`
	Bytes  uint64 `json:"bytesOfLast,omitempty"`
	// Leader is the node that orders the appends, of a running hub of several.
	Leader string `json:"leader,omitempty"`
}

func auditLogList(a *app, from *logSource) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the logs and their ends",
		Long: `Lists the logs of a system: their first and last commit, when that was written, by which owner, and, of a running hub of
several nodes, which of them leads the log.`,
		Example: `  drover audit log list --data /var/lib/drover`,
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := from.open(cmd.Context())
			if err != nil {
				return err
			}
			defer o.close()
			l := list[logView]{
				a: a, name: "logs", columns: []string{"LOG", "FIRST", "LAST", "LAST WRITTEN", "OWNER", "LEADER"},
				row: func(v logView) []string {
					return []string{v.Log, fmt.Sprint(v.First), humanize.Comma(int64(v.Last)), orDash(v.LastAt), orDash(v.Owner), orDash(v.Leader)}
				},
				view: func(v logView) any { return v },
			}
			var rows []logView
			for _, log := range o.logs {
				v := logView{Log: log.Name().String()}
				if v.First, v.Last, err = log.Bounds(cmd.Context()); err != nil {
					return err
				}
				if v.Leader, err = o.leader(cmd.Context(), log.Name()); err != nil {
					return err
				}
				c, err := log.Read(cmd.Context(), v.Last)
				var foreign *eventstore.ForeignError
				switch {
				case err == nil:
					v.LastAt, v.Owner, v.Epoch, v.Bytes = moment(c.AtMs), c.Owner, c.Epoch, uint64(c.Size)
				case !errors.As(err, &foreign) && !errors.Is(err, eventstore.ErrNotFound):
					return err
				}
				rows = append(rows, v)
			}
			if err := l.page(rows); err != nil {
				return err
			}
			return l.end()
		},
	}
}
