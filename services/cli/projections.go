package cli

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/kv/pebble"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

func projectionsCommand(a *app) *cobra.Command {
	return parent("projections", "Rebuild the read models",
		`The read models are what lists and descriptions are answered from. They are a fold of the logs, and can be thrown away.`,
		`  drover projections rebuild --verify`,
		projectionsRebuild(a))
}

type rebuiltView struct {
	Positions []string `json:"positions"`
	Rows      uint64   `json:"rows,omitempty"` // compared, with --verify
	Seed      uint64   `json:"seed,omitempty"` // of the interleaving, with --verify
	Seconds   float64  `json:"seconds"`
}

func projectionsRebuild(a *app) *cobra.Command {
	var verify bool
	var seed uint64
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Fold the read models anew from the logs",
		Long: `Folds the read models of a stopped system anew from the first commit of every log, and puts them in the place of the old
ones.

With --verify the old ones stay: a rebuild beside them, with the logs interleaved and batches cut another way (--seed),
is compared with them row by row. Exit status 1 if a row differs.`,
		Example: `  drover projections rebuild --verify --data /var/lib/drover`,
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := a.openOffline(cmd.Context())
			if err != nil {
				return err
			}
			defer o.close()
			if verify {
				if !cmd.Flags().Changed("seed") {
					seed = randomSeed()
				}
				return a.verifyModels(cmd.Context(), o, seed)
			}
			return a.rebuildModels(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&verify, "verify", false, "compare a rebuild with what is there")
	cmd.Flags().Uint64Var(&seed, "seed", 0, "how the rebuild interleaves the logs (default: drawn)")
	return cmd
}

func randomSeed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}

// modelsDir is where a node keeps the read models.
func (a *app) modelsDir() string { return filepath.Join(a.dataDir(), "models") }

// verifyModels compares the read models with a rebuild in a folder of its own, which is removed.
func (a *app) verifyModels(ctx context.Context, o *opened, seed uint64) (err error) {
	if _, err := os.Stat(a.modelsDir()); errors.Is(err, os.ErrNotExist) {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "data", "%s holds no read models; rebuild makes them", a.dataDir())
	}
	switch version, err := pebble.Version(a.modelsDir()); {
	case err != nil:
		return err
	case version != projections.Version:
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "data", "%s holds read models of version %q, not %s; rebuild makes them anew", a.dataDir(), version, projections.Version)
	}
	live, err := pebble.OpenVersion(a.modelsDir(), projections.Version, pebble.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, live.Close()) }()
	dir, err := os.MkdirTemp(a.dataDir(), "rebuild-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	into, err := pebble.OpenVersion(dir, projections.Version, pebble.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, into.Close()) }()

	began := time.Now()
	done, err := projections.Verify(ctx, o.logs, live, into, seed, a.rebuildProgress())
	if err != nil {
		return fmt.Errorf("with seed %d: %w", seed, err)
	}
	v := rebuiltView{Rows: done.Rows, Seed: seed, Seconds: time.Since(began).Seconds()}
	for _, p := range done.Positions {
		v.Positions = append(v.Positions, positionText(p))
	}
	if a.json() {
		return a.printJSON(v)
	}
	_, err = fmt.Fprintf(a.out, "rebuilt to %v in %.1f s with seed %d: all %s rows are the same\n", v.Positions, v.Seconds, seed, humanize.Comma(int64(v.Rows)))
	return err
}

// rebuildModels folds into a folder beside the old one and then takes its place.
func (a *app) rebuildModels(ctx context.Context, o *opened) error {
	fresh, old := a.modelsDir()+".new", a.modelsDir()+".old"
	if err := errors.Join(os.RemoveAll(fresh), os.RemoveAll(old)); err != nil {
		return err
	}
	into, err := pebble.OpenVersion(fresh, projections.Version, pebble.Options{})
	if err != nil {
		return err
	}
	began := time.Now()
	at, err := projections.Rebuild(ctx, o.logs, into, nil, a.rebuildProgress())
	if err = errors.Join(err, into.Close()); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	// A crash between the two leaves no read models; the next start folds them from the beginning.
	if err := os.Rename(a.modelsDir(), old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(fresh, a.modelsDir()); err != nil {
		return err
	}
	v := rebuiltView{Seconds: time.Since(began).Seconds()}
	for _, l := range o.logs {
		v.Positions = append(v.Positions, positionText(l.Name().Position(at[l.Name()], 0)))
	}
	if err := os.RemoveAll(old); err != nil {
		return err
	}
	if a.json() {
		return a.printJSON(v)
	}
	_, err = fmt.Fprintf(a.out, "rebuilt to %v in %.1f s\n", v.Positions, v.Seconds)
	return err
}

// rebuildProgress says on stderr how far a rebuild is, every two seconds.
func (a *app) rebuildProgress() projections.Progress {
	said := time.Now()
	return func(done, total uint64) {
		if time.Since(said) >= 2*time.Second {
			said = time.Now()
			fmt.Fprintf(a.err, "%s of %s commits\n", humanize.Comma(int64(done)), humanize.Comma(int64(total)))
		}
	}
}
