package node

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/droverhq/drover/eventstore"
)

// A home that is about to be served when its hub node goes is stood by for again, and ends no process: a flush says of a
// connection that is lost under way that it is closed.
func TestAFlushThatLosesItsConnectionPasses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { // a broker that goes at the second ping
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		defer l.Close()
		fmt.Fprint(c, "INFO {\"server_id\":\"b\",\"version\":\"2.12.0\",\"max_payload\":1048576}\r\n")
		lines := bufio.NewScanner(c)
		for pings := 0; lines.Scan(); {
			if lines.Text() != "PING" {
				continue
			}
			if pings++; pings == 2 {
				return
			}
			fmt.Fprint(c, "PONG\r\n")
		}
	}()
	nc, err := nats.Connect("nats://"+l.Addr().String(), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	err = nc.FlushTimeout(time.Minute)
	if !errors.Is(err, nats.ErrConnectionClosed) || nc.IsClosed() || !passing(fmt.Errorf("serve: %w", err)) {
		t.Errorf("%v, closed: %v, passes: %v", err, nc.IsClosed(), passing(err))
	}
	if passing(errors.Join(err, &eventstore.DamageError{})) {
		t.Error("damage passes")
	}
}
