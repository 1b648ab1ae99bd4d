// Package broker runs nats-server inside the process, as the hub, as one node of it, or as a device leaf, from the files in
// deploy; it makes the secrets by which processes know each other, and connects our own to a hub.
//
// It promises that a server it hands back accepts connections and has its JetStream (a node of several and a leaf say what
// they wait for besides); that what cannot be had (a port, a folder, a password) is an error that names it, and never the
// end of the process; that the hub flushes every message before it acknowledges it; that one folder has one server at a time
// and stays what it was born as; and that nobody without a password listens beyond this machine by accident. Who may publish
// and subscribe what stands in the files, as permissions of users.
//
// It leaves streams to eventstore/jetstream and subjects to services/bus and fronts/device. (design §5)
//
//	<data>/auth      passwords of the hub's users, mode 0600, unless they were given
//	<data>/hub.json  what the folder was born as: its node, cluster, number of homes
//	<data>/lock      held by the process that runs the hub
//	<data>/hub       the hub's JetStream: the logs
//	<data>/leaf      the leaf's JetStream: MQTT sessions
package broker

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/droverhq/drover/deploy"
)

const (
	// startMax is how long a server may take to accept connections; JetStream reads its streams meanwhile.
	startMax = 60 * time.Second
	// linkMax is how long a leaf's first link to its hub may take.
	linkMax = 10 * time.Second
	// A node that is stopped closes its clients' connections within lameDuckMax; not before lameDuckGrace.
	lameDuckGrace = time.Second
	lameDuckMax   = 5 * time.Second
)

// start runs a server from a file of deploy, with those of the files that it includes that are wanted. change is applied
// to its options after parsing.
func start(file string, wanted []string, values map[string]string, log *slog.Logger, change func(*server.Options)) (*server.Server, *server.Options, error) {
	text, err := deploy.Render(file, wanted, values)
	if err != nil {
		return nil, nil, err
	}
	return run(text, log, change)
}

func run(text string, log *slog.Logger, change func(*server.Options)) (*server.Server, *server.Options, error) {
	opts := &server.Options{}
	if err := opts.ProcessConfigString(text); err != nil {
		return nil, nil, fmt.Errorf("configuration of the broker: %w", err)
	}
	opts.NoSigs = true
	change(opts)
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, nil, err
	}
	logger := &logger{log: log, fatal: make(chan error, 1)}
	s.SetLogger(logger, false, false)
	go s.Start()
	deadline := time.Now().Add(startMax)
	for !s.ReadyForConnections(50 * time.Millisecond) {
		select {
		case err = <-logger.fatal:
		default:
			if time.Now().After(deadline) {
				err = fmt.Errorf("the broker accepts no connections after %v", startMax)
			}
		}
		if err != nil {
			stop(s)
			return nil, nil, err
		}
	}
	select {
	case err := <-logger.fatal:
		stop(s)
		return nil, nil, err
	default:
	}
	if !s.JetStreamEnabled() {
		stop(s)
		return nil, nil, errors.New("the broker runs without JetStream")
	}
	return s, opts, nil
}

// stop ends a server: clients are told, streams write what they hold.
func stop(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// checkListen refuses an address beyond this machine, unless it is safe there or allowed.
func checkListen(listen string, allowed bool) error {
	if allowed || IsLoopback(listen) {
		return nil
	}
	return fmt.Errorf("listening on %s would let anybody on the network in, without TLS and authentication: give it certificates (drover secrets create), listen on 127.0.0.1, or allow it with --insecure", listen)
}

// IsLoopback says whether an address to listen on is reached from this machine only.
func IsLoopback(listen string) bool {
	ip := net.ParseIP(listen)
	return listen == "localhost" || ip != nil && ip.IsLoopback()
}

// addresses makes a list of URLs for the file from host:port, with a user and a password in each.
func addresses(scheme, user, password string, hosts []string) (string, error) {
	var list []string
	for _, h := range hosts {
		host, port, err := net.SplitHostPort(h)
		if err == nil && !hostName.MatchString(host) {
			err = errors.New("no name of a host")
		}
		if n, wrong := strconv.ParseUint(port, 10, 16); err == nil && (wrong != nil || n == 0) {
			err = errors.New("no port")
		}
		if err != nil {
			return "", fmt.Errorf("%q is not host:port: %w", h, err)
		}
		list = append(list, (&url.URL{Scheme: scheme, User: url.UserPassword(user, password), Host: net.JoinHostPort(host, port)}).String())
	}
	return strings.Join(list, ", "), nil
}

// hostName is a name or an address of a host, as it may stand unquoted in the file.
var hostName = regexp.MustCompile(`^[A-Za-z0-9._:-]+$`)

// bracket is an address of IP version 6 as it stands in front of a port.
func bracket(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// configPort: in the file -1 is "any free one".
func configPort(port int) string {
	if port == 0 {
		port = -1
	}
	return strconv.Itoa(port)
}

// address is where this machine reaches a listener.
func address(scheme, host string, port int) string {
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return (&url.URL{Scheme: scheme, Host: net.JoinHostPort(host, strconv.Itoa(port))}).String()
}

func orDiscard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return log
}
