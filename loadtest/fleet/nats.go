package fleet

import (
	"context"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/droverhq/drover/loadtest/agent"
)

// pendingMax is how many messages of one connection may wait for their devices.
const pendingMax = 8192

// runNATS keeps devices connected that share a connection. Each has its own subscriptions; one goroutine hands the
// messages out in the order in which they came.
func (f *fleet) runNATS(ctx context.Context, devices []*device) {
	byThing := make(map[string]*device, len(devices))
	for _, d := range devices {
		byThing[d.thing] = d
	}
	for ctx.Err() == nil {
		lost := make(chan struct{})
		messages := make(chan *nats.Msg, pendingMax)
		var nc *nats.Conn
		ok := f.dial(ctx, func() (err error) {
			_, url := f.config.Endpoints()
			if url == "" {
				return errNoURL
			}
			nc, err = nats.Connect(url, nats.Name("devices"), nats.NoReconnect(), nats.Timeout(connectTimeout), nats.NoEcho(),
				nats.ClosedHandler(func(*nats.Conn) { close(lost) }), f.trust(), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { f.stats.failed(err) }))
			if err != nil {
				return err
			}
			for _, d := range devices {
				root := "$aws.things." + d.thing + ".jobs."
				for _, subject := range []string{"start-next.*", "*.update.*", "notify-next"} {
					if _, err = nc.ChanSubscribe(root+subject, messages); err != nil {
						nc.Close()
						return err
					}
				}
			}
			if err = nc.FlushTimeout(connectTimeout); err != nil {
				nc.Close()
			}
			return err
		})
		if !ok {
			continue
		}
		for _, d := range devices {
			root := "$aws.things." + d.thing + ".jobs."
			d.connected(func(r agent.Request) {
				topic, payload := encode(r)
				if err := nc.Publish(root+strings.ReplaceAll(topic, "/", "."), payload); err != nil {
					f.stats.failed(err)
				}
			})
		}
		hand(ctx, byThing, messages, lost)
		for _, d := range devices {
			d.disconnected()
		}
		nc.Close()
		f.pause(ctx)
	}
}

// trust lets encrypted connections trust whom Config says.
func (f *fleet) trust() nats.Option {
	return func(o *nats.Options) error {
		o.TLSConfig = f.config.TLS // used where the URL or the server says so
		return nil
	}
}

// hand gives messages to their devices until the connection is lost.
func hand(ctx context.Context, byThing map[string]*device, messages <-chan *nats.Msg, lost <-chan struct{}) {
	for {
		select {
		case m := <-messages:
			rest := strings.TrimPrefix(m.Subject, "$aws.things.")
			thing, topic, _ := strings.Cut(rest, ".jobs.")
			if d := byThing[thing]; d != nil {
				d.received(strings.ReplaceAll(topic, ".", "/"), m.Data)
			}
		case <-lost:
			return
		case <-ctx.Done():
			return
		}
	}
}
