package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/droverhq/drover/services/broker"
	"github.com/droverhq/drover/services/node"
)

const clusterPort = 6222

// brokerStopMax is how long a broker may take to stop.
const brokerStopMax = 10 * time.Second

func brokerCommand(a *app) *cobra.Command {
	return parent("broker", "Run a broker of a system of many processes",
		`Runs one broker: a node of the hub, which holds the logs, or a device leaf, which devices connect to. The services run beside
them (drover serve). drover up has a hub and a leaf in itself.

A broker is nats-server with the configuration of deploy/*.conf; what is not said here is said there.`,
		`  drover broker hub --data ./hub-1 --name hub-1 --homes 8 --creds secrets/hub.json --route hub-1:6222 --route hub-2:6222 --route hub-3:6222
  drover broker leaf --data ./leaf --hub hub-1:7422,hub-2:7422 --creds secrets/leaf.json`,
		brokerHubCommand(a), brokerLeafCommand(a))
}

// brokerFlags are those of both kinds of brokers.
type brokerFlags struct {
	tls         broker.TLS
	monitorPort int
	verbose     bool
}

func (b *brokerFlags) add(f *pflag.FlagSet, certificate string) {
	f.StringVar(&b.tls.Cert, "tls-cert", "", "certificate "+certificate+": broker.crt of drover secrets create")
	f.StringVar(&b.tls.Key, "tls-key", "", "its key: broker.key")
	f.IntVar(&b.monitorPort, "monitor-port", monitorPort, "port of health, readiness and nats-server's own pages; 0 is any free one")
	f.BoolVarP(&b.verbose, "verbose", "v", false, "say more on stderr")
}

func (b *brokerFlags) logger(a *app) *slog.Logger {
	level := slog.LevelWarn
	if b.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
}

// runningBroker is a hub's node or a leaf.
type runningBroker interface {
	Server() *server.Server
	Waiting() []string
}

// runBroker runs a broker until ctx ends: start starts it, and stop stops it. Its endpoints are written when it has
// nothing to wait for, for the first time, and are gone when it stops.
func (a *app) runBroker(ctx context.Context, listen string, flags brokerFlags, start func(*slog.Logger) (runningBroker, error), endpoints func(runningBroker) node.Endpoints, stop func(runningBroker)) error {
	ctx, release := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer release()
	if err := os.MkdirAll(a.data, 0o700); err != nil {
		return err
	}
	m, err := startBrokerMonitor(net.JoinHostPort(listen, strconv.Itoa(flags.monitorPort)))
	if err != nil {
		return startFailed(ctx, err)
	}
	defer m.close()
	b, err := start(flags.logger(a))
	if err != nil {
		return startFailed(ctx, err)
	}
	m.serve(b)
	if a.awaitBroker(ctx, b) {
		e := endpoints(b)
		e.Monitor, e.PID = m.url(), os.Getpid()
		if err = e.Write(a.data); err == nil {
			fmt.Fprintf(a.out, "Drover %s: broker %s is ready. Data: %s\n", Version, b.Server().Name(), a.data)
			printEndpoints(a, e)
			<-ctx.Done()
			err = os.Remove(node.EndpointsFile(a.data))
		}
	}
	release() // a second ^C ends the process at once
	fmt.Fprintln(a.err, "drover: stopping")
	stopped := make(chan struct{})
	go func() { stop(b); close(stopped) }()
	select {
	case <-stopped:
		return err
	case <-time.After(brokerStopMax):
		return errors.Join(err, fmt.Errorf("the broker could not be stopped in order within %v: what it acknowledged is on the disk", brokerStopMax))
	}
}

// awaitBroker waits until a broker waits for nothing, and says meanwhile for what; false is the end of ctx.
func (a *app) awaitBroker(ctx context.Context, b runningBroker) bool {
	said := ""
	for {
		waiting := strings.Join(b.Waiting(), ", ")
		if waiting == "" {
			return ctx.Err() == nil
		}
		if waiting != said {
			said = waiting
			fmt.Fprintln(a.err, "drover: waiting for:", waiting)
		}
		if pause(ctx, 100*time.Millisecond) != nil {
			return false
		}
	}
}

func printEndpoints(a *app, e node.Endpoints) {
	for _, line := range []struct{ what, url string }{
		{"bus", e.NATS}, {"leafs", e.Leaf}, {"mqtt", e.MQTT}, {"devices", e.Devices}, {"monitor", e.Monitor},
	} {
		if line.url != "" {
			fmt.Fprintf(a.out, "  %-8s %s\n", line.what, line.url)
		}
	}
}

// brokerMonitor serves a broker's health and readiness, and what nats-server knows about itself:
//
//	/healthz       200 while the process runs
//	/readyz        200 when the broker can do its part; else 503 and what it waits for
//	/varz /connz /routez /leafz /jsz /raftz   nats-server's own pages
//	/debug/pprof/  profiles
type brokerMonitor struct {
	server   *http.Server
	listener net.Listener
	broker   atomic.Pointer[runningBroker] // nil until it has started
}

func startBrokerMonitor(address string) (*brokerMonitor, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("monitor: %w", err)
	}
	m := &brokerMonitor{listener: l}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", m.ready)
	for path, page := range map[string]func(*server.Server, http.ResponseWriter, *http.Request){
		"varz": (*server.Server).HandleVarz, "connz": (*server.Server).HandleConnz, "routez": (*server.Server).HandleRoutez,
		"leafz": (*server.Server).HandleLeafz, "jsz": (*server.Server).HandleJsz, "raftz": (*server.Server).HandleRaftz,
	} {
		mux.HandleFunc("GET /"+path, func(w http.ResponseWriter, r *http.Request) {
			b := m.broker.Load()
			if b == nil {
				http.Error(w, "the broker has not started", http.StatusServiceUnavailable)
				return
			}
			page((*b).Server(), w, r)
		})
	}
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	m.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = m.server.Serve(l) }() // ends with close
	return m, nil
}

func (m *brokerMonitor) serve(b runningBroker) { m.broker.Store(&b) }

func (m *brokerMonitor) ready(w http.ResponseWriter, _ *http.Request) {
	waiting := []string{"the broker's start"}
	if b := m.broker.Load(); b != nil {
		waiting = (*b).Waiting()
	}
	w.Header().Set("Content-Type", "application/json")
	if len(waiting) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"ready": len(waiting) == 0, "waitingFor": waiting})
}

// url is where this machine reaches it.
func (m *brokerMonitor) url() string {
	at := m.listener.Addr().(*net.TCPAddr)
	host := at.IP.String()
	if at.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(at.Port))
}

func (m *brokerMonitor) close() { _ = m.server.Close() }
