package node

import (
	"context"
	"fmt"
	"net/http"
)

// serveHTTP opens AWS's API to whoever signs.
func (n *Node) serveHTTP(ctx context.Context) error {
	if _, err := n.connect(ctx, n.hub.ConnectHTTP, "http"); err != nil {
		return err
	}
	front := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotImplemented)
		_, _ = fmt.Fprintln(w, `{"message":"this version of Drover has no HTTP front; use the drover command, NATS or MQTT"}`)
	})
	l, err := n.listenHTTP(n.cfg.HTTP.Port, front)
	if err != nil {
		return err
	}
	n.enter(l)
	n.endpoints.HTTP = l.url()
	if !n.cfg.HTTP.Data {
		return nil
	}
	data, err := n.listenHTTP(n.cfg.HTTP.DataPort, front)
	if err != nil {
		return err
	}
	n.enter(data)
	n.endpoints.HTTPData = data.url()
	return nil
}

// enter serves a listener until the node closes.
func (n *Node) enter(l *httpListener) {
	n.entrances = append(n.entrances, l.stop)
	n.run("the HTTP front", l.run)
}
