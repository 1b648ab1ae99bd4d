package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/jetstream"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/broker"
)

// opened is a system's logs, opened to be read.
type opened struct {
	// hub is the broker of a stopped system's folder: it runs in this process and listens nowhere, and the folder is locked
	// meanwhile, so that no system can be started on it. Nil where the logs are read from a hub that runs elsewhere.
	hub  *broker.Hub
	nc   *nats.Conn
	logs []*eventstore.Log // all of them, in the order of id.Logs
}

// openOffline opens the logs of the data folder. A folder whose system runs is refused.
func (a *app) openOffline(ctx context.Context) (*opened, error) {
	if a.server != "" {
		return nil, usagef("this command reads the folder of a stopped system; name it with --data instead of --server")
	}
	hub, err := broker.StartOffline(a.dataDir(), jetstream.CheckFiles, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err := refuseInUse(err); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("open the logs offline: %w", err)
	}
	o := &opened{hub: hub}
	if o.nc, err = hub.Dialer().Connect("audit"); err == nil {
		err = o.open(ctx)
	}
	if err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

// refuseInUse is the refusal of a folder that another process has, and nil for every other error.
func refuseInUse(err error) error {
	var inUse *broker.InUseError
	if !errors.As(err, &inUse) {
		return nil
	}
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_STATE_TRANSITION, "data", "%v", inUse)
}

// open opens every log: how many there are stands in the first commit of log.job.
func (o *opened) open(ctx context.Context) error {
	replicas, err := o.replicas(ctx)
	if err != nil {
		return err
	}
	first, err := o.openLog(ctx, id.JobLog, replicas)
	if err != nil {
		return err
	}
	c, err := first.Read(ctx, 1)
	if err != nil {
		return err
	}
	var opened *v1.LogOpened
	if len(c.Entries) > 0 {
		opened = c.Entries[0].GetEvent().GetLogOpened()
	}
	if opened.GetHomes() == 0 {
		return fmt.Errorf("log %s does not say how many homes there are: its first commit is none of Drover's", id.JobLog)
	}
	for _, name := range id.Logs(opened.GetHomes()) {
		l, err := o.openLog(ctx, name, replicas)
		if err != nil {
			return err
		}
		o.logs = append(o.logs, l)
	}
	return nil
}

// replicas is on how many servers each log stands; 1 if there is none, which openLog finds out.
func (o *opened) replicas(ctx context.Context) (int, error) {
	info, err := o.stream(ctx, id.JobLog)
	if errors.Is(err, js.ErrStreamNotFound) {
		return 1, nil
	}
	if err != nil {
		return 0, fmt.Errorf("open the logs: %w", err)
	}
	return info.Config.Replicas, nil
}

// leader is the node of the hub that orders a log's appends; empty on a hub of one, and while there is none.
func (o *opened) leader(ctx context.Context, log id.Log) (string, error) {
	info, err := o.stream(ctx, log)
	if err != nil || info.Cluster == nil || o.hub != nil {
		return "", err
	}
	return info.Cluster.Leader, nil
}

func (o *opened) stream(ctx context.Context, log id.Log) (*js.StreamInfo, error) {
	api, err := js.New(o.nc)
	if err != nil {
		return nil, err
	}
	stream, err := api.Stream(ctx, jetstream.StreamName(log, 1))
	if err != nil {
		return nil, err
	}
	return stream.CachedInfo(), nil
}

func (o *opened) openLog(ctx context.Context, name id.Log, replicas int) (*eventstore.Log, error) {
	b, err := jetstream.Open(ctx, o.nc, name, jetstream.Options{Replicas: replicas})
	if err != nil {
		return nil, err
	}
	return eventstore.New(name, b), nil
}

// log is one of the logs by its name as it was typed.
func (o *opened) log(name id.Log) (*eventstore.Log, error) {
	for _, l := range o.logs {
		if l.Name() == name {
			return l, nil
		}
	}
	return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "log", "there is no log %s; the last is %s", name, o.logs[len(o.logs)-1].Name())
}

func (o *opened) close() {
	if o.nc != nil {
		o.nc.Close()
	}
	if o.hub != nil {
		o.hub.Close()
	}
}

// checkHeads holds every log against the end that its owner remembers in its data folder: what lies behind it was cut
// off. The owners of a hub that runs elsewhere see to that themselves.
func (o *opened) checkHeads(ctx context.Context, data string) error {
	var all error
	for _, l := range o.logs {
		all = errors.Join(all, o.checkHead(ctx, data, l))
	}
	return all
}

func (o *opened) checkHead(ctx context.Context, data string, l *eventstore.Log) error {
	if o.hub == nil {
		return nil
	}
	path := filepath.Join(data, "heads", l.Name().String())
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil // nothing to hold it against
	}
	f, err := eventstore.OpenHead(path)
	if err != nil {
		return err
	}
	if head, ok := f.Head(); ok {
		err = l.Holds(ctx, head.Mark)
	}
	return errors.Join(err, f.Close())
}

func logArg(s string) (id.Log, error) {
	l, err := id.ParseLog(s)
	if err != nil {
		return l, invalidErr("log", err)
	}
	return l, nil
}
