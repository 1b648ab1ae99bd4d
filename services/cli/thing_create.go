package cli

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/loadtest/fleet"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func thingCreate(a *app) *cobra.Command {
	var from, prefix, thingType string
	var count int
	cmd := &cobra.Command{
		Use:   "create NAME… | --from FILE | --prefix P --count N",
		Short: "Register things",
		Long: `Registers things. A thing that is there already with the same settings is left as it is, so that a command that was
broken off can simply be repeated.

A file has one thing a line: a name, or JSON as in {"thingName":"press-07","attributes":{"site":"north"},"thingTypeName":"press"}.
Things go out in chunks; a chunk is registered as a whole or not at all.`,
		Example: `  drover thing create press-07 press-08 --type press
  drover thing create --from things.jsonl
  drover thing create --prefix press- --count 1000`,
		Args: takes(0, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			things, closeFrom, err := a.thingSource(args, from, prefix, count)
			if err != nil {
				return err
			}
			defer closeFrom()
			return createThings(cmd.Context(), a, things, thingType)
		},
	}
	f := cmd.Flags()
	f.StringVar(&from, "from", "", "file with one thing a line; - is stdin")
	f.StringVar(&prefix, "prefix", "", "register --count things named PREFIX0000, PREFIX0001, … as drover simulate names its devices")
	f.IntVar(&count, "count", 0, "how many things with --prefix")
	f.StringVar(&thingType, "type", "", "thing type of things whose line names none")
	return cmd
}

// A source yields one item after another, and io.EOF after the last.
type source[T any] func() (T, error)

// thingSource is where the things come from: arguments, a file, or a prefix and a count. Exactly one is allowed.
func (a *app) thingSource(args []string, from, prefix string, count int) (source[*v1.NewThing], func() error, error) {
	nothing := func() error { return nil }
	ways := 0
	for _, given := range []bool{len(args) > 0, from != "", prefix != "" || count != 0} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return nil, nil, usagef("give names, or --from FILE, or --prefix P --count N")
	}
	switch {
	case from != "":
		r, err := a.open(from)
		if err != nil {
			return nil, nil, err
		}
		return readThings(r), r.Close, nil
	case count != 0 || prefix != "":
		if count < 1 || count > countMax || prefix == "" {
			return nil, nil, usagef("--prefix %q --count %d: a prefix and a count of 1 to %d are needed", prefix, count, countMax)
		}
		args = fleet.Names(prefix, count)
	}
	names := namesOf(args)
	return func() (*v1.NewThing, error) {
		name, err := names()
		return &v1.NewThing{Name: name}, err
	}, nothing, nil
}

// countMax bounds --count: a typing error should not fill a disk.
const countMax = 10_000_000

func checkedThing(name string) (*v1.NewThing, error) {
	name, err := thingArg(name)
	return &v1.NewThing{Name: name}, err
}

// createThings registers what the source yields.
func createThings(ctx context.Context, a *app, things source[*v1.NewThing], thingType string) error {
	var created, existing atomic.Uint64
	last := new(lastPosition)
	err := inChunks(ctx, a, "registered", things,
		func(t *v1.NewThing) int {
			if t.ThingType == "" {
				t.ThingType = thingType
			}
			return t.SizeVT()
		},
		func(ctx context.Context, chunk []*v1.NewThing) error {
			reply, err := tellChunk(ctx, a, bus.CreateThings, &v1.CreateThings{Things: chunk})
			if err != nil {
				return err
			}
			created.Add(uint64(reply.GetCreated()))
			existing.Add(uint64(reply.GetExisting()))
			last.saw(reply.GetPosition())
			return nil
		})
	n, m := created.Load(), existing.Load()
	if err != nil {
		if n+m > 0 {
			err = fmt.Errorf("after %s: %w", plural(n+m, "thing"), err)
		}
		return err
	}
	if n+m == 0 {
		return errors.New("there was no thing to register")
	}
	if a.json() {
		return a.printJSON(doneView{Position: last.String(), Created: &n, Existing: &m})
	}
	text := "registered " + plural(n, "thing")
	if m > 0 {
		text += fmt.Sprintf("; %s there already", plural(m, "thing"))
	}
	_, err = fmt.Fprintln(a.out, text)
	return err
}
