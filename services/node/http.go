package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/droverhq/drover/services/broker"
)

// HTTP is how the role http listens, whom it lets in, and what it says of itself.
type HTTP struct {
	// Port of AWS's API, both planes of it; 0 is any free one.
	Port int
	// Data opens a listener for the data plane alone, on DataPort; 0 is any free one.
	Data     bool
	DataPort int
	// Cert and Key are files in PEM, by which these listeners speak TLS. Both are empty: they do not.
	Cert, Key string
	// NoAuth lets in who does not sign, as anybody. It is refused beyond loopback.
	NoAuth bool
	// Endpoint and MQTTEndpoint are the addresses, host or host:port, by which clients are told to reach the data plane and
	// MQTT (DescribeEndpoint, iot:Jobs and iot:Data-ATS). Empty: the host by which a client came; MQTT, with brokers of an own
	// process, at their port.
	Endpoint, MQTTEndpoint string
	// RequestLog gets a line for every request: who, which operation, how it was answered. Nil: none.
	RequestLog *slog.Logger
}

const (
	// A client has so long to send a request's header, to send it all, and to take its answer. What Drover itself does for a
	// request is bounded by the bus, which waits for 10 s at most.
	httpHeaderMax = 10 * time.Second
	httpReadMax   = 30 * time.Second
	httpWriteMax  = 60 * time.Second
	// httpIdleMax is for how long a connection is kept between requests: longer than a balancer's usual minute, so that it is
	// the balancer who closes.
	httpIdleMax = 2 * time.Minute
	// httpHeaderBytes bounds a request's header. AWS's clients send 1 to 2 KiB.
	httpHeaderBytes = 32 << 10
	// httpStopMax is how long a stop waits for requests under way; what takes longer is cut off.
	httpStopMax = time.Second
)

// checkHTTP refuses what the role http may not be started with.
func (c *Config) checkHTTP() error {
	h, loopback := c.HTTP, broker.IsLoopback(c.Listen)
	switch {
	case (h.Cert == "") != (h.Key == ""):
		return errors.New("http: TLS needs a certificate and its key (--tls-cert, --tls-key)")
	case h.NoAuth && !loopback:
		return fmt.Errorf("http: requests without a signature are let in on this machine's loopback only: listen on 127.0.0.1 instead of %s, or leave out --insecure-no-auth", c.Listen)
	case h.Cert == "" && !loopback && !c.Insecure:
		return fmt.Errorf("http: listening on %s would send everything in plain text: give it a certificate (--tls-cert, --tls-key), listen on 127.0.0.1, or allow it with --insecure", c.Listen)
	}
	_, err := h.tls()
	return err
}

// tls is what the listeners speak; nil is plain text.
func (h HTTP) tls() (*tls.Config, error) {
	if h.Cert == "" {
		return nil, nil
	}
	certificate, err := tls.LoadX509KeyPair(h.Cert, h.Key)
	if err != nil {
		return nil, fmt.Errorf("http: the certificate %s with the key %s: %w", h.Cert, h.Key, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}, nil
}

// httpListener is one address of the HTTP front.
type httpListener struct {
	server *http.Server
	net.Listener
	tls     bool
	stopMax time.Duration // how long stop waits
}

// listenHTTP binds a port, for as long as the node is open. Who connects waits until it is served.
func (n *Node) listenHTTP(port int) (*httpListener, error) {
	config, err := n.cfg.HTTP.tls()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", net.JoinHostPort(n.cfg.Listen, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("http: %w", err)
	}
	s := &httpListener{Listener: l, tls: config != nil, stopMax: httpStopMax, server: &http.Server{
		TLSConfig: config, MaxHeaderBytes: httpHeaderBytes,
		ReadHeaderTimeout: httpHeaderMax, ReadTimeout: httpReadMax, WriteTimeout: httpWriteMax, IdleTimeout: httpIdleMax,
		ErrorLog: slog.NewLogLogger(n.cfg.Logger.Handler(), slog.LevelDebug), // of clients that cannot speak TLS, and the like
	}}
	n.entrances = append(n.entrances, s.stop)
	return s, nil
}

// serve answers by h, until stop.
func (s *httpListener) serve(h http.Handler) (err error) {
	s.server.Handler = h
	if s.tls {
		err = s.server.ServeTLS(s.Listener, "", "")
	} else {
		err = s.server.Serve(s.Listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// stop lets nobody in any more, answers those who are in, and cuts off who has no answer after stopMax.
func (s *httpListener) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.stopMax)
	defer cancel()
	err := s.server.Shutdown(ctx)
	_ = s.Close() // that of a listener which was never served; the server has closed any other
	if errors.Is(err, context.DeadlineExceeded) {
		return s.server.Close()
	}
	return err
}

// url is where this machine reaches the listener.
func (s *httpListener) url() string {
	scheme := "http"
	if s.tls {
		scheme = "https"
	}
	host, port, _ := net.SplitHostPort(s.Addr().String()) // it is one
	if net.ParseIP(host).IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
