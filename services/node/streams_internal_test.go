package node

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	js "github.com/nats-io/nats.go/jetstream"

	"github.com/droverhq/drover/eventstore/jetstream"
	"github.com/droverhq/drover/proto/id"
)

// A log's stream that is given an age would lose its oldest commits: the process ends, and says which stream it is.
func TestAStreamThatWasConfiguredOtherwiseEndsTheProcess(t *testing.T) {
	n, err := Start(t.Context(), Config{Data: t.TempDir(), Homes: 1, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	soon, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := n.watchStreams(soon, time.Millisecond); err != nil {
		t.Fatalf("as it was made: %v", err)
	}

	nc, err := n.hub.Connect("operator")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	api, err := js.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	name := jetstream.StreamName(id.RolloutLog, 1)
	stream, err := api.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxAge = time.Hour
	if _, err := api.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	err = n.watchStreams(t.Context(), time.Millisecond)
	if !errors.Is(err, jetstream.ErrDrift) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "max_age") {
		t.Errorf("with an age: %v", err)
	}
}
