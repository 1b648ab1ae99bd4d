package inbox

import (
	"errors"
	"hash/fnv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

// Whatever a publisher sends is a command with an id and a body, or malformed with a reason; and it can be stored again.
func FuzzDecode(f *testing.F) {
	good, err := proto.Marshal(&v1.CancelJob{JobId: "j1", Force: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("job", "cancel", "Drover-Command-Id", "c1", "Content-Type", "application/json", []byte(`{"jobId":"j1"}`))
	f.Add("job", "cancel", "Drover-Command-Id", "a b.*>", "drover-command-id", "c2", good)
	f.Add("job", "create", "Nats-Msg-Id", "x", "Drover-Origin", "y", []byte{})
	f.Add("targeting", "create-things", "", "", "X", "\xff", []byte(`{"things":[{"name":"t","attributes":[{}]}]}`))
	f.Add("", "", "", "", "", "", []byte("\x00\xff"))
	f.Fuzz(func(t *testing.T, service, name, k1, v1, k2, v2 string, data []byte) {
		h := nats.Header{}
		h[k1] = append(h[k1], v1)
		h[k2] = append(h[k2], v2)
		d := &delivery{service: service, name: name, header: h, data: data, origin: "born-7"}
		c, err := d.decode()
		var bad malformed
		switch {
		case err == nil:
			if c.op == nil || c.body == nil || bus.CheckCommandID(c.id) != nil {
				t.Errorf("%+v", c)
			}
			if _, err := proto.Marshal(c.body); err != nil {
				t.Errorf("%v cannot be sent: %v", c.body, err)
			}
		case !errors.As(err, &bad) || bad.reason == "" || !isPoison(err):
			t.Errorf("%v", err)
		}
		for name := range d.headers() {
			if name == headerOrigin || name == headerReason {
				t.Errorf("kept the header %s", name)
			}
		}
		if reason := oneLine(string(data)); len(reason) > reasonMax {
			t.Errorf("a reason of %d bytes", len(reason))
		}
	})
}

// Every service has a line of its own, by the server's hash. (CreateStreams)
func TestEveryServiceHasItsOwnLane(t *testing.T) {
	of := map[uint32]string{}
	for _, service := range []string{"job", "targeting", "execution", "rollout"} {
		h := fnv.New32a()
		h.Write([]byte(service))
		lane := h.Sum32() % lanes
		if other := of[lane]; other != "" {
			t.Errorf("%s and %s share a lane", service, other)
		}
		of[lane] = service
	}
	for _, c := range bus.DurableCommands() {
		service, _, _ := strings.Cut(c.Subject(), ".")
		h := fnv.New32a()
		h.Write([]byte(service))
		if of[h.Sum32()%lanes] != service {
			t.Errorf("the service %s is missing in this test", service)
		}
	}
}

func TestDelaysGrowAndAreBounded(t *testing.T) {
	var before time.Duration
	for n := uint64(1); n < 100; n++ {
		line, aside := (&delivery{attempts: n}).delay(delayMin), (&delivery{attempts: n, aside: true}).delay(delayMin)
		if line < before || line < delayMin || line > lineDelayMax || aside < line || aside > asideDelayMax {
			t.Errorf("attempt %d: %v, %v", n, line, aside)
		}
		before = line
	}
	if d := (&delivery{attempts: 0, aside: true}).delay(delayMin); d <= 0 || d > asideDelayMax {
		t.Errorf("%v", d)
	}
}
