package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Settings is where the settings of servers are read. An ordinary account cannot see them.
type Settings struct {
	// System is a connection of the system account; it reaches every server. May be nil.
	System *nats.Conn
	// Monitors are the URLs of servers' monitoring ports (http://host:8222).
	Monitors []string
}

// settingsTimeout is how long servers have to answer.
const settingsTimeout = 2 * time.Second

// UnsafeSyncError says which servers may take back what they have acknowledged, or may be feared to.
type UnsafeSyncError struct {
	// Servers that do not flush, and their sync_interval; servers whose setting could not be read, and why.
	Lazy, Unread map[string]string
}

func (e *UnsafeSyncError) Error() string {
	var lines []string
	for _, name := range sorted(e.Lazy) {
		lines = append(lines, fmt.Sprintf("server %s has sync_interval %s, so a power cut takes back what it has acknowledged: set jetstream { sync_interval: always }", name, e.Lazy[name]))
	}
	for _, name := range sorted(e.Unread) {
		lines = append(lines, fmt.Sprintf("the sync_interval of server %s cannot be read (%s): name system credentials or its monitor URL", name, e.Unread[name]))
	}
	return strings.Join(lines, "; ") + "; or accept the loss with --allow-unsafe-sync"
}

// CheckSync makes sure that each of these servers flushes every write (sync_interval: always). Without it a commit is not
// durable when it is acknowledged. What cannot be read counts as unsafe: *UnsafeSyncError.
func CheckSync(ctx context.Context, servers []string, from Settings) error {
	ctx, cancel := context.WithTimeout(ctx, settingsTimeout)
	defer cancel()
	read := map[string]setting{}
	why := "no system credentials and no monitor URL"
	if from.System != nil {
		why = readSystem(ctx, from.System, servers, read)
	}
	for _, url := range from.Monitors {
		if err := readMonitor(ctx, url, read); err != nil {
			why = err.Error()
		}
	}
	unsafe := &UnsafeSyncError{Lazy: map[string]string{}, Unread: map[string]string{}}
	for _, name := range servers {
		switch s, ok := read[name]; {
		case !ok:
			unsafe.Unread[name] = why
		case !s.Always:
			unsafe.Lazy[name] = s.Interval.String()
		}
	}
	if len(servers) == 0 {
		unsafe.Unread["?"] = "no server is known to hold a replica"
	}
	if len(unsafe.Lazy)+len(unsafe.Unread) == 0 {
		return nil
	}
	return unsafe
}

// Servers are the names of the servers that hold a replica of the log.
func (b *Backend) Servers(ctx context.Context) ([]string, error) {
	info, err := b.info(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	if c := info.Cluster; c != nil {
		if c.Leader != "" {
			names = append(names, c.Leader)
		}
		for _, r := range c.Replicas {
			names = append(names, r.Name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("stream %s has no leader now", b.stream)
	}
	return names, nil
}

// setting is a server's, as it reports it.
type setting struct {
	Always   bool          `json:"sync_always"`
	Interval time.Duration `json:"sync_interval"`
}

// readSystem asks all servers through the system account, until those that are wanted have answered. It returns why
// one of them may be missing.
func readSystem(ctx context.Context, nc *nats.Conn, servers []string, read map[string]setting) (why string) {
	sub, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return err.Error()
	}
	defer sub.Unsubscribe()
	if err := nc.PublishRequest("$SYS.REQ.SERVER.PING.JSZ", sub.Subject, nil); err != nil {
		return err.Error()
	}
	for {
		if !slices.ContainsFunc(servers, func(s string) bool { _, ok := read[s]; return !ok }) {
			return ""
		}
		msg, err := sub.NextMsgWithContext(ctx)
		switch {
		case errors.Is(err, nats.ErrNoResponders):
			return "the connection is not one of the system account"
		case err != nil:
			return "it does not answer in the system account"
		}
		var answer struct {
			Server struct {
				Name string `json:"name"`
			} `json:"server"`
			Data *struct {
				Disabled bool    `json:"disabled"`
				Config   setting `json:"config"`
			} `json:"data"`
		}
		if err := json.Unmarshal(msg.Data, &answer); err == nil && answer.Data != nil && !answer.Data.Disabled {
			read[answer.Server.Name] = answer.Data.Config
		}
	}
}

// readMonitor asks one server at its monitoring port.
func readMonitor(ctx context.Context, url string, read map[string]setting) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/varz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answer struct {
		Name      string `json:"server_name"`
		JetStream struct {
			Config *setting `json:"config"`
		} `json:"jetstream"`
	}
	err = json.NewDecoder(resp.Body).Decode(&answer)
	switch {
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s", url, resp.Status)
	case err != nil:
		return fmt.Errorf("%s: %w", url, err)
	case answer.Name == "" || answer.JetStream.Config == nil:
		return fmt.Errorf("%s reports no JetStream", url)
	}
	read[answer.Name] = *answer.JetStream.Config
	return nil
}

func sorted(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
