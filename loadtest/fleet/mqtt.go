package fleet

import (
	"context"
	"errors"
	"strings"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/droverhq/drover/loadtest/agent"
)

const connectTimeout = 10 * time.Second

// mqttSchemes are what paho calls them.
var mqttSchemes = strings.NewReplacer("mqtt://", "tcp://", "mqtts://", "ssl://")

// runMQTT keeps one device connected: clean session, client id = thing, requests at QoS 1, subscriptions at QoS 0, as
// answers come from NATS and are never more than that.
func (f *fleet) runMQTT(ctx context.Context, d *device) {
	root := "$aws/things/" + d.thing + "/jobs/"
	for ctx.Err() == nil {
		lost := make(chan struct{})
		var client mqtt.Client
		ok := f.dial(ctx, func() error {
			url, _ := f.config.Endpoints()
			if url == "" {
				return errNoURL
			}
			options := mqtt.NewClientOptions().AddBroker(mqttSchemes.Replace(url)).
				SetClientID(d.thing).SetCleanSession(true).SetAutoReconnect(false).
				SetConnectTimeout(connectTimeout).SetWriteTimeout(connectTimeout).SetKeepAlive(30 * time.Second).
				SetConnectionLostHandler(func(mqtt.Client, error) { close(lost) })
			if f.config.TLS != nil {
				options.SetTLSConfig(f.config.TLS)
			}
			client = mqtt.NewClient(options)
			if err := wait(client.Connect()); err != nil {
				return err
			}
			token := client.SubscribeMultiple(map[string]byte{root + "start-next/+": 0, root + "+/update/+": 0, root + "notify-next": 0},
				func(_ mqtt.Client, m mqtt.Message) { d.received(strings.TrimPrefix(m.Topic(), root), m.Payload()) })
			if err := wait(token); err != nil {
				client.Disconnect(0)
				return err
			}
			for topic, qos := range token.(*mqtt.SubscribeToken).Result() {
				if qos > 2 {
					client.Disconnect(0)
					return errors.New("the broker refuses the subscription to " + topic)
				}
			}
			return nil
		})
		if !ok {
			continue
		}
		// Not waited for: the answer is what tells that a request arrived, and the agent repeats what stays unanswered.
		d.connected(func(r agent.Request) {
			topic, payload := encode(r)
			client.Publish(root+topic, 1, false, payload)
		})
		select {
		case <-lost:
		case <-ctx.Done():
		}
		d.disconnected()
		client.Disconnect(0)
		f.pause(ctx)
	}
}

func wait(t mqtt.Token) error {
	if !t.WaitTimeout(connectTimeout) {
		return errors.New("the MQTT broker does not answer")
	}
	return t.Error()
}
