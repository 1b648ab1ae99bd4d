package jetstream

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/droverhq/drover/proto/id"
)

// What is sent while a stream's leader changes is lost without a word: the question is sent again.
func TestAQuestionThatWasLostIsAskedAgain(t *testing.T) {
	broker, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	go broker.Start()
	t.Cleanup(broker.Shutdown)
	if !broker.ReadyForConnections(time.Minute) {
		t.Fatal("the broker is not ready")
	}
	nc, err := nats.Connect(broker.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	b := &Backend{nc: nc, log: id.RolloutLog, stream: StreamName(id.RolloutLog, 1)}
	if _, _, err := b.Bounds(t.Context()); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("where nobody listens: %v", err)
	}

	asked := 0
	if _, err := nc.Subscribe("$JS.API.STREAM.INFO."+b.stream, func(m *nats.Msg) {
		if asked++; asked > 1 {
			_ = m.Respond([]byte(`{"state":{"messages":7,"first_seq":1,"last_seq":7}}`))
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, last, err := b.Bounds(t.Context()); err != nil || last != 7 {
		t.Errorf("the end is %d, %v", last, err)
	}
}
