package cli

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func groupAdd(a *app) *cobra.Command {
	return membersCommand(a, "add", "Add things to a group",
		`Adds things to a group. A thing that is in it already stays in it. Things go out in chunks; a chunk is added as a whole
or, if one of its things does not exist, not at all.`,
		`  drover group add press-line press-07 press-08
  drover group add press-line --from names.txt`,
		func(ctx context.Context, group string, things []string) (*v1.Position, uint32, error) {
			r, err := tellChunk(ctx, a, bus.AddThings, &v1.AddThings{Group: group, Things: things})
			return r.GetPosition(), r.GetJoined(), err
		},
		func(v *doneView, n uint64, group string) string {
			v.Joined = &n
			return fmt.Sprintf("added %s to %s", plural(n, "thing"), group)
		})
}

func groupRemove(a *app) *cobra.Command {
	return membersCommand(a, "remove", "Remove things from a group",
		`Removes things from a group. A thing that is not in it is passed over. Jobs that run already are not changed by it.`,
		`  drover group remove press-line press-07`,
		func(ctx context.Context, group string, things []string) (*v1.Position, uint32, error) {
			r, err := tellChunk(ctx, a, bus.RemoveThings, &v1.RemoveThings{Group: group, Things: things})
			return r.GetPosition(), r.GetLeft(), err
		},
		func(v *doneView, n uint64, group string) string {
			v.Left = &n
			return fmt.Sprintf("removed %s from %s", plural(n, "thing"), group)
		})
}

// membersCommand changes who is in a group, chunk by chunk; said puts the count into the view and into words.
func membersCommand(a *app, verb, short, long, example string,
	send func(ctx context.Context, group string, things []string) (*v1.Position, uint32, error),
	said func(v *doneView, n uint64, group string) string) *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use: verb + " GROUP THING… | GROUP --from FILE", Short: short, Long: long, Example: example, Args: takes(1, -1),
		ValidArgsFunction: a.completeGroups,
		RunE: func(cmd *cobra.Command, args []string) error {
			group, err := groupArg("thingGroupName", args[0])
			if err != nil {
				return err
			}
			if (from != "") == (len(args) > 1) {
				return usagef("give things, or --from FILE")
			}
			names := namesOf(args[1:])
			if from != "" {
				r, err := a.open(from)
				if err != nil {
					return err
				}
				defer r.Close()
				names = readNames(r)
			}
			var changed atomic.Uint64
			last := new(lastPosition)
			err = inChunks(cmd.Context(), a, verb, names, func(s string) int { return len(s) + 2 }, func(ctx context.Context, chunk []string) error {
				at, n, err := send(ctx, group, chunk)
				if err == nil {
					changed.Add(uint64(n))
					last.saw(at)
				}
				return err
			})
			if err != nil {
				return err
			}
			v := doneView{Position: last.String()}
			text := said(&v, changed.Load(), group)
			if a.json() {
				return a.printJSON(v)
			}
			_, err = fmt.Fprintln(a.out, text)
			return err
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "file with one thing a line; - is stdin")
	return cmd
}

func namesOf(args []string) source[string] {
	return func() (string, error) {
		if len(args) == 0 {
			return "", io.EOF
		}
		name := args[0]
		args = args[1:]
		return thingArg(name)
	}
}
