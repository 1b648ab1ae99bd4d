package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/droverhq/drover/deploy"
)

// LeafConfig says how a device leaf runs.
type LeafConfig struct {
	// Dir is the data folder; the leaf uses Dir/leaf.
	Dir string
	// Name tells this leaf from others of the same hub, also as its JetStream domain. Default "leaf".
	Name string
	// Listen is the address of both listeners. Default 127.0.0.1; beyond loopback only with Insecure.
	Listen string
	// MQTTPort and NATSPort: 0 is any free one.
	MQTTPort, NATSPort int
	// HubURLs are Hub.LeafURL of the hub's nodes; the link goes on with another when one is lost. HubPassword is the
	// password of the hub's user `leaf`.
	HubURLs     []string
	HubPassword string
	// HubCA is the file of who signed the hub's certificates; empty: the link is in plain text.
	HubCA string
	// TLS is what the listeners for devices speak; CA is not used. It does not tell devices apart.
	TLS TLS
	// MaxStore bounds the files of MQTT sessions, in bytes. Default 4 GiB.
	MaxStore int64
	// Insecure lets anybody who reaches Listen be any device, also beyond loopback.
	Insecure bool
	// Logger gets the server's warnings and errors; nil is none.
	Logger *slog.Logger
}

// Leaf is a server that devices connect to.
type Leaf struct {
	server *server.Server
	opts   *server.Options
	lock   *lock
}

// StartLeaf starts a device leaf and waits for its link to the hub.
func StartLeaf(c LeafConfig) (*Leaf, error) { return startLeafWithin(c, linkMax) }

func startLeafWithin(c LeafConfig, link time.Duration) (*Leaf, error) {
	l, err := OpenLeaf(c)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(link); !l.Linked(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.Close()
			return nil, fmt.Errorf("start the leaf: no link to the hub at %s after %v: is it running, and is the password its own?", strings.Join(c.HubURLs, ", "), link)
		}
	}
	return l, nil
}

// OpenLeaf starts a device leaf. Its link to the hub may come later, and go, and come back: Linked.
func OpenLeaf(c LeafConfig) (_ *Leaf, err error) {
	if c.Listen == "" {
		c.Listen = "127.0.0.1"
	}
	if c.Name == "" {
		c.Name = "leaf"
	}
	if c.MaxStore == 0 {
		c.MaxStore = 4 << 30
	}
	if !c.Insecure && !IsLoopback(c.Listen) {
		return nil, fmt.Errorf("listening on %s would let anybody on the network be any device, for devices have no identities yet: listen on 127.0.0.1, or allow it with --insecure-devices", c.Listen)
	}
	if err := c.TLS.check(); err != nil {
		return nil, err
	}
	store := filepath.Join(c.Dir, "leaf")
	if err := os.MkdirAll(store, 0o700); err != nil {
		return nil, err
	}
	l := &Leaf{}
	if l.lock, err = takeLock(store); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.lock.release()
		}
	}()
	wanted, values, err := c.configure()
	if err != nil {
		return nil, err
	}
	l.server, l.opts, err = start(deploy.Leaf, wanted, values, orDiscard(c.Logger), func(o *server.Options) { o.StoreDir = store })
	if err != nil {
		return nil, fmt.Errorf("start the leaf: %w", err)
	}
	return l, nil
}

// configure says which of the files in deploy make up the configuration, and what stands in them.
func (c LeafConfig) configure() (wanted []string, values map[string]string, err error) {
	if len(c.HubURLs) == 0 {
		return nil, nil, errors.New("a leaf needs the address of a hub")
	}
	var hosts []string
	for _, u := range c.HubURLs {
		if !strings.Contains(u, "://") {
			u = "nats-leaf://" + u
		}
		hub, err := url.Parse(u)
		if err != nil {
			return nil, nil, fmt.Errorf("the hub's address: %w", err)
		}
		hosts = append(hosts, hub.Host)
	}
	scheme := "nats-leaf"
	if c.HubCA != "" {
		if _, err := ReadCA(c.HubCA); err != nil {
			return nil, nil, err
		}
		scheme = "tls"
		wanted = append(wanted, deploy.HubCA)
	}
	if c.TLS.on() {
		wanted = append(wanted, deploy.TLS)
	}
	urls, err := addresses(scheme, "leaf", c.HubPassword, hosts)
	if err != nil {
		return nil, nil, fmt.Errorf("the hub's addresses, as nats-leaf://host:port: %w", err)
	}
	values = c.TLS.values()
	maps.Copy(values, map[string]string{
		"SERVER_NAME": c.Name, "DOMAIN": c.Name, "LISTEN": bracket(c.Listen), "STORE": "leaf",
		"NATS_PORT": configPort(c.NATSPort), "MQTT_PORT": configPort(c.MQTTPort),
		"MAX_STORE": strconv.FormatInt(c.MaxStore, 10), "HUB_URLS": urls, "HUB_CA": c.HubCA,
	})
	return wanted, values, nil
}

// Linked says whether the leaf is connected to its hub.
func (l *Leaf) Linked() bool { return l.server.NumLeafNodes() > 0 }

// MQTTURL is where devices connect that speak MQTT 3.1.1.
func (l *Leaf) MQTTURL() string { return address("mqtt", l.opts.MQTT.Host, l.opts.MQTT.Port) }

// ClientURL is where devices connect that speak NATS.
func (l *Leaf) ClientURL() string { return address("nats", l.opts.Host, l.opts.Port) }

// Server is the running server, for its monitoring functions.
func (l *Leaf) Server() *server.Server { return l.server }

// Close stops the server; sessions stay.
func (l *Leaf) Close() {
	stop(l.server)
	l.lock.release()
}
