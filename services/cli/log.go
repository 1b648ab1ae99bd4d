package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/eventstore"
)

func logCommand(a *app) *cobra.Command {
	return parent("log", "Repair a log",
		`The logs are the record, and nothing is ever taken out of them. What can be repaired is that readers stop at a message that
a stranger has put there.`,
		`  drover log repair rollout --data /var/lib/drover`,
		logRepair(a))
}

type repairedView struct {
	Log     string        `json:"log"`
	Commits []repairEntry `json:"commits"`
}

type repairEntry struct {
	Number  uint64   `json:"number"`
	Foreign []uint64 `json:"foreign"`
}

func logRepair(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "repair LOG",
		Short: "Let readers pass foreign messages",
		Long: `Names the foreign messages of a log, with their hashes, in a commit at its end; readers pass them from then on. The
messages stay where they are. It reads the whole log first and refuses one that is damaged: what is lost must be restored.
The system must be stopped.`,
		Example:           `  drover log repair execution.0 --data /var/lib/drover`,
		Args:              takes(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := logArg(args[0])
			if err != nil {
				return err
			}
			o, err := a.openOffline(cmd.Context())
			if err != nil {
				return err
			}
			defer o.close()
			log, err := o.log(name)
			if err != nil {
				return err
			}
			done, err := log.Repair(cmd.Context(), time.Now().UnixMilli())
			if err != nil && !errors.Is(err, eventstore.ErrNothingForeign) {
				return err
			}
			v := repairedView{Log: name.String(), Commits: []repairEntry{}}
			for _, r := range done {
				e := repairEntry{Number: r.Number}
				for _, m := range r.Foreign {
					e.Foreign = append(e.Foreign, m.Number)
				}
				v.Commits = append(v.Commits, e)
			}
			if a.json() {
				return a.printJSON(v)
			}
			if len(v.Commits) == 0 {
				_, err = fmt.Fprintf(a.out, "log %s holds nothing foreign that keeps readers from going on\n", name)
				return err
			}
			for _, e := range v.Commits {
				if _, err := fmt.Fprintf(a.out, "commit %s@%d names %s: %d\n", name, e.Number, plural(len(e.Foreign), "foreign message"), e.Foreign); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
