package cli

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func inboxList(a *app) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the poison queue",
		Long: `Lists the durable commands that no retry would mend, oldest first, each with the reason: what could not be read, what names
no command, and what Drover itself failed over. They stay until they are retried or dropped. --output json shows their bodies.`,
		Example: `  drover inbox list
  drover inbox list --output json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			l := list[*v1.PoisonMessage]{
				a: a, name: "messages", columns: []string{"NUMBER", "SINCE", "COMMAND", "COMMAND ID", "REASON"},
				row: func(m *v1.PoisonMessage) []string {
					return []string{strconv.FormatUint(m.GetNumber(), 10), when(m.GetAtMs()), strings.TrimPrefix(m.GetSubject(), "drover.inbox."),
						orDash(m.GetCommandId()), shorten(m.GetReason(), 120)}
				},
				view: func(m *v1.PoisonMessage) any { return viewPoison(m) },
			}
			return l.pages(limit, func(size uint32, token string) ([]*v1.PoisonMessage, string, error) {
				r, err := ask(cmd.Context(), a, bus.ListPoison, &v1.ListPoison{Page: &v1.Page{Limit: size, Token: token}})
				return r.GetMessages(), r.GetNextToken(), err
			})
		},
	}
	limitFlag(cmd, &limit)
	return cmd
}
