package node

import (
	"context"
	"path/filepath"

	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/kv/pebble"
)

// startModels folds the read models, where this process has that role.
func (n *Node) startModels(running context.Context) error {
	if !n.has(RoleProjections) {
		return nil
	}
	store, err := n.store("models", projections.Version)
	if err != nil {
		return err
	}
	n.runner, err = projections.New(projections.Config{Logs: n.logs, Store: store, Homes: n.homes, Logger: n.cfg.Logger})
	if err != nil {
		return err
	}
	n.run("the read models", func() error { return n.runner.Run(running) })
	return nil
}

func (n *Node) awaitModels(ctx context.Context) error {
	if n.runner == nil {
		return nil
	}
	n.wait("the read models")
	select {
	case <-n.runner.Ready():
		return nil
	case err := <-n.failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// store opens a state store below the folder, empty if what it held is of another version. It is closed with the node.
func (n *Node) store(name, version string) (kv.Store, error) {
	store, err := pebble.OpenVersion(filepath.Join(n.cfg.Data, name), version, pebble.Options{Cache: n.cache, Logger: n.cfg.Logger})
	if err != nil {
		return nil, err
	}
	n.onClose(store.Close)
	return store, nil
}
