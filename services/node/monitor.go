package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// monitor serves health, readiness, metrics and profiles:
//
//	/healthz       200 while the process serves
//	/readyz        200 when it is ready; else 503 and what it waits for
//	/metrics       Prometheus
//	/debug/pprof/  profiles, only where nobody but this machine can ask
type monitor struct {
	server   *http.Server
	listener net.Listener
	registry *prometheus.Registry
}

// startMonitor listens; ready says what the process waits for, and nothing once it is ready.
func startMonitor(address string, ready func() []string) (*monitor, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("monitor: %w", err)
	}
	m := &monitor{listener: l, registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		waiting := ready()
		w.Header().Set("Content-Type", "application/json")
		if len(waiting) > 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"ready": len(waiting) == 0, "waitingFor": waiting})
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	if l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	m.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		// Serve ends with ErrServerClosed at close; another error leaves the process without a monitor, not without work.
		_ = m.server.Serve(l)
	}()
	return m, nil
}

func (m *monitor) url() string { return "http://" + m.listener.Addr().String() }

func (m *monitor) close() error {
	if m == nil {
		return nil
	}
	err := m.server.Close()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
