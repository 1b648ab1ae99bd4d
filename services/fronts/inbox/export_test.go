package inbox

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// Origin is how the inbox names a place in a stream that was made then.
func Origin(created time.Time, seq uint64) string { return originName(bornName(created), seq) }

// Hasten makes it try again sooner. It is called before Run.
func (i *Inbox) Hasten() { i.delayMin = 5 * time.Millisecond }

// PutPoison puts a command into the poison queue, as after a delivery.
func (i *Inbox) PutPoison(ctx context.Context, origin string, header nats.Header) error {
	return i.putPoison(ctx, &delivery{service: "job", name: "cancel", origin: origin, header: header, data: []byte("x")}, "why")
}
