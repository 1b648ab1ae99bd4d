package broker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/droverhq/drover/deploy"
)

// HubConfig says how the hub runs, or one node of it.
type HubConfig struct {
	// Dir is the data folder; it is made if it is not there.
	Dir string
	// Name tells the nodes of a hub apart, for life. Default "hub".
	Name string
	// Listen is the address of all listeners. Default 127.0.0.1; beyond loopback only with TLS or Insecure.
	Listen string
	// NATSPort and LeafPort: 0 is any free one.
	NATSPort, LeafPort int
	// Homes is how many homes there are, the same on every node; fixed for the life of the folder, where 0 is what it was
	// born with.
	Homes uint32
	// Cluster makes this one node of several; nil is a hub of one.
	Cluster *Cluster
	// Auth holds every password, the same on every node. The zero value is <Dir>/auth, drawn at the first start.
	Auth Auth
	// TLS is what the listeners speak: with it, who gives no name is not let in.
	TLS TLS
	// MaxStore bounds JetStream's files, in bytes. Default 64 GiB. Streams set their own bounds below it.
	MaxStore int64
	// Insecure lets anybody who reaches Listen be a client, also beyond loopback and in plain text.
	Insecure bool
	// Lock is the folder's lock if the caller has taken it, whose it stays; nil: the hub takes it, until Close.
	Lock *Lock
	// Check is handed the folder of JetStream's files once it is locked, before a server reads them; its error is
	// the start's. Nil is none.
	Check func(store string) error
	// Logger gets the server's warnings and errors; nil is none.
	Logger *slog.Logger

	change func(*server.Options) // after the file was read; nil is none
}

// Cluster says how the nodes of a hub find each other.
type Cluster struct {
	// Name of the cluster, for life, the same on every node. Default "drover".
	Name string
	// Port of the listener for the other nodes; 0 is any free one.
	Port int
	// Routes are where the nodes listen for each other, host:port, all of them, this one too or not.
	Routes []string
}

// Hub is the server that holds the logs, or one node of it.
type Hub struct {
	server *server.Server
	opts   *server.Options
	auth   Auth
	tls    *tls.Config // of who connects; nil is plain text
	homes  uint32
	lock   *lock
	log    *slog.Logger

	homesAgree atomic.Bool // with the system's record
}

// StartHub starts the hub on a folder, or a node of it. A folder that another process uses is refused with the number of
// that process, and one that was born as something else with what that was. A node is handed back before it has found the
// others: Waiting says when it has.
func StartHub(c HubConfig) (*Hub, error) {
	if c.Listen == "" {
		c.Listen = "127.0.0.1"
	}
	if c.Name == "" {
		c.Name = "hub"
	}
	if c.Cluster != nil && c.Cluster.Name == "" {
		cluster := *c.Cluster
		cluster.Name = "drover"
		c.Cluster = &cluster
	}
	if err := checkListen(c.Listen, c.Insecure || c.TLS.on()); err != nil {
		return nil, err
	}
	if err := c.TLS.check(); err != nil {
		return nil, err
	}
	if c.TLS.on() && c.TLS.CA == "" {
		return nil, errors.New("TLS needs the CA that signed the certificates of the nodes (--tls-ca)")
	}
	if c.Homes == 0 {
		born, err := readBirth(c.Dir)
		if err != nil {
			return nil, errors.New("the number of homes is missing (--homes): a new folder needs it")
		}
		c.Homes = born.Homes
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	return startHub(c)
}

// StartOffline opens the logs of a folder while its system is stopped: JetStream and no listener. It refuses a folder
// that a running process uses, one that holds no logs, and that of a node of several: what such a node holds may be less
// than its hub does, and JetStream must not open it alone. Check is as in HubConfig.
func StartOffline(dir string, check func(store string) error, log *slog.Logger) (*Hub, error) {
	store := filepath.Join(dir, "hub")
	if _, err := os.Stat(store); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no logs: name the folder of `drover up --data`", dir)
	} else if err != nil {
		return nil, err
	}
	born, err := readBirth(dir)
	if err == nil && born.Cluster != "" {
		return nil, fmt.Errorf("%s is the folder of %s, which cannot be opened alone: ask the running hub, with --server", dir, born.kind())
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	name := born.Name
	if name == "" {
		name = "hub"
	}
	return startHub(HubConfig{Dir: dir, Name: name, Listen: "127.0.0.1", Homes: max(born.Homes, 1), Check: check, Logger: log, change: func(o *server.Options) {
		o.DontListen = true
		o.LeafNode.Port = 0
	}})
}

func startHub(c HubConfig) (_ *Hub, err error) {
	if c.MaxStore == 0 {
		c.MaxStore = 64 << 30
	}
	h := &Hub{log: orDiscard(c.Logger), auth: c.Auth, homes: c.Homes}
	if c.Lock == nil {
		if h.lock, err = takeLock(c.Dir); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			h.lock.release()
		}
	}()
	if h.auth == (Auth{}) {
		if h.auth, err = openAuth(c.Dir); err != nil {
			return nil, err
		}
	}
	if c.TLS.on() {
		if h.tls, err = ReadCA(c.TLS.CA); err != nil {
			return nil, err
		}
	}
	store := filepath.Join(c.Dir, "hub")
	if c.Check != nil {
		if err := c.Check(store); err != nil {
			return nil, err
		}
	}
	wanted, values, err := h.configure(c)
	if err != nil {
		return nil, err
	}
	h.server, h.opts, err = start(deploy.Hub, wanted, values, h.log, func(o *server.Options) {
		o.StoreDir = store
		o.LameDuckGracePeriod, o.LameDuckDuration = lameDuckGrace, lameDuckMax
		if c.change != nil {
			c.change(o)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("start the hub: %w", err)
	}
	if js := h.server.JetStreamConfig(); js == nil || !js.SyncAlways {
		stop(h.server)
		return nil, errors.New("start the hub: it does not flush what it acknowledges (sync_interval: always)")
	}
	return h, nil
}

// configure says which of the files in deploy make up the configuration, and what stands in them.
func (h *Hub) configure(c HubConfig) (wanted []string, values map[string]string, err error) {
	born := birth{Name: c.Name, Homes: c.Homes}
	values = c.TLS.values()
	maps.Copy(values, map[string]string{
		"SERVER_NAME": c.Name, "LISTEN": bracket(c.Listen), "STORE": "hub",
		"NATS_PORT": configPort(c.NATSPort), "LEAF_PORT": configPort(c.LeafPort),
		"MAX_STORE": strconv.FormatInt(c.MaxStore, 10), "HOMES": strconv.FormatUint(uint64(c.Homes), 10),
		"SERVICE_PASSWORD": h.auth.Service, "FRONT_PASSWORD": h.auth.Front,
		"INBOX_PASSWORD": h.auth.Inbox, "HTTP_PASSWORD": h.auth.HTTP, "CLIENT_PASSWORD": h.auth.Client,
		"LEAF_PASSWORD": h.auth.Leaf, "SYS_PASSWORD": h.auth.System,
	})
	if c.TLS.on() {
		wanted = append(wanted, deploy.TLS, deploy.NodesTLS)
	} else {
		wanted = append(wanted, deploy.Anonymous)
	}
	if c.Cluster != nil {
		born.Cluster = c.Cluster.Name
		routes, err := addresses("nats-route", "node", h.auth.Cluster, c.Cluster.Routes)
		if err != nil {
			return nil, nil, fmt.Errorf("routes: %w", err)
		}
		wanted = append(wanted, deploy.Cluster)
		maps.Copy(values, map[string]string{
			"CLUSTER_NAME": c.Cluster.Name, "CLUSTER_PORT": configPort(c.Cluster.Port), "CLUSTER_PASSWORD": h.auth.Cluster, "ROUTES": routes,
		})
	}
	return wanted, values, checkBirth(c.Dir, born)
}

// ClientURL is where clients connect.
func (h *Hub) ClientURL() string { return address("nats", h.opts.Host, h.opts.Port) }

// LeafURL is where leafs connect. LeafPassword is that of their user, `leaf`.
func (h *Hub) LeafURL() string {
	return address("nats-leaf", h.opts.LeafNode.Host, h.opts.LeafNode.Port)
}

// LeafPassword is the password of a leaf's link.
func (h *Hub) LeafPassword() string { return h.auth.Leaf }

// ClusterURL is where the other nodes connect; empty for a hub of one.
func (h *Hub) ClusterURL() string {
	if h.opts.Cluster.Name == "" {
		return ""
	}
	return address("nats-route", h.opts.Cluster.Host, h.opts.Cluster.Port)
}

// Server is the running server, for its monitoring functions.
func (h *Hub) Server() *server.Server { return h.server }

// Dialer connects to this hub, and of several nodes to this one.
func (h *Hub) Dialer() *Dialer {
	d := &Dialer{URLs: []string{h.ClientURL()}, Auth: h.auth, TLS: h.tls, Logger: h.log}
	if h.opts.DontListen {
		d.inProcess = h.server
	}
	return d
}

// Retire stops a node of several so that the others notice little: it hands its leaders over, tells its clients and
// leafs, and lets them go within lameDuckMax. Of a hub of one it is Close.
func (h *Hub) Retire() {
	if h.ClusterURL() != "" {
		h.server.LameDuckShutdown()
	}
	h.Close()
}

// Close stops the server, and lets the folder go.
func (h *Hub) Close() {
	stop(h.server)
	h.lock.release()
}
