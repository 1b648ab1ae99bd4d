package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// waitingMax is how many reasons Waiting names.
const waitingMax = 10

// Waiting says what a hub's node waits for before it can do its part: the others, streams that are behind, the system's
// record that agrees with its number of homes. Nothing once it can. It takes up to a second.
func (h *Hub) Waiting() []string {
	health := h.server.Healthz(&server.HealthzOptions{Details: true})
	var waiting []string
	for _, e := range health.Errors {
		if len(waiting) == waitingMax {
			return append(waiting, fmt.Sprintf("and %d more", len(health.Errors)-waitingMax))
		}
		waiting = append(waiting, e.Error)
	}
	if len(waiting) > 0 || h.homesAgree.Load() {
		return waiting
	}
	if wrong := h.checkHomes(); wrong != "" {
		return []string{wrong}
	}
	return nil
}

// checkHomes holds the number of homes of the mappings against the one that the system was born with. Before a system is
// born there is nothing to hold it against.
func (h *Hub) checkHomes() (wrong string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	record, err := h.systemRecord(ctx)
	if err != nil {
		return ""
	}
	var system struct {
		Homes uint32 `json:"homes"`
	}
	if err := json.Unmarshal(record, &system); err != nil || system.Homes == 0 {
		return ""
	}
	if system.Homes != h.homes {
		return fmt.Sprintf("another number of homes: this node sends requests to %d, the system was born with %d: start it on an empty folder with --homes %d", h.homes, system.Homes, system.Homes)
	}
	h.homesAgree.Store(true)
	return ""
}

func (h *Hub) systemRecord(ctx context.Context) ([]byte, error) {
	d := h.Dialer()
	d.inProcess = h.server
	nc, err := d.Connect("homes", nats.NoReconnect())
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	bucket, err := js.KeyValue(ctx, "drover-system")
	if err != nil {
		return nil, err
	}
	entry, err := bucket.Get(ctx, "system")
	if err != nil {
		return nil, err
	}
	return entry.Value(), nil
}

// Waiting says what a leaf waits for: its link. Nothing once it has one.
func (l *Leaf) Waiting() []string {
	if l.Linked() {
		return nil
	}
	return []string{"the link to the hub"}
}
