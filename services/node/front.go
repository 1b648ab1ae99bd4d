package node

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws"
	"github.com/droverhq/drover/services/fronts/aws/credential"
	"github.com/droverhq/drover/services/fronts/aws/sigv4"
	"github.com/droverhq/drover/services/fronts/device"
)

// serveHTTP opens AWS's API.
func (n *Node) serveHTTP(ctx context.Context) error {
	nc, err := n.connect(ctx, n.hub.ConnectHTTP, "http")
	if err != nil {
		return err
	}
	keys, err := n.openCredentials(ctx)
	if err != nil {
		return err
	}
	api, err := n.listenHTTP(n.cfg.HTTP.Port)
	if err != nil {
		return err
	}
	n.endpoints.HTTP = api.url()
	var data *httpListener // nil: api has both planes
	if n.cfg.HTTP.Data {
		if data, err = n.listenHTTP(n.cfg.HTTP.DataPort); err != nil {
			return err
		}
		n.endpoints.HTTPData = data.url()
	}
	if n.brokers != nil {
		if err := n.writeProfile(ctx, keys); err != nil {
			return err
		}
	}
	client := bus.NewClient(nc)
	front := aws.Config{
		Client: client, Account: n.cfg.Account, Region: n.cfg.Region,
		Data: device.NewHandler(device.HandlerConfig{Client: client}), DataOperation: nameDataOperation,
		Verify: verify(keys, n.cfg.HTTP.NoAuth), Endpoint: n.addresses().endpoint,
		Observe: newRequests(n.monitor.registry, n.cfg.HTTP.RequestLog).observe, Logger: n.cfg.Logger,
	}
	if n.cfg.Limits == "aws" {
		front.Allow = throttle(awsRates)
	}
	both := aws.New(front)
	n.run("the HTTP front", func() error { return api.serve(both) })
	if data != nil {
		front.Plane = aws.Data
		devices := aws.New(front)
		n.run("the HTTP front of devices", func() error { return data.serve(devices) })
	}
	return nil
}

// verify makes what says who signed a request. Where nobody need sign, who did is still who he says; and a browser must, for
// any page that somebody looks at on this machine could give it orders.
func verify(keys *credential.Store, noAuth bool) func(*http.Request, []byte, time.Time) (sigv4.Identity, error) {
	return func(r *http.Request, body []byte, now time.Time) (sigv4.Identity, error) {
		if noAuth && r.Header.Get("Authorization") == "" {
			if r.Header.Get("Origin") != "" {
				return sigv4.Identity{}, &sigv4.Error{Name: sigv4.MissingAuthenticationToken, Message: "A request of a web page (Origin) is not let in without a signature."}
			}
			return sigv4.Identity{}, nil
		}
		return sigv4.Verify(r, body, now, keys.Secret)
	}
}

// addresses are what clients are told of where to go on: those that were configured, else the host by which a client came
// here, at the port of whatever serves that in this process.
type addresses struct {
	configured     HTTP
	httpData, mqtt string // URLs of this process's own listeners; empty: none
}

func (n *Node) addresses() addresses {
	a := addresses{configured: n.cfg.HTTP, httpData: n.endpoints.HTTPData}
	if n.brokers != nil {
		a.mqtt = n.brokers.leaf.MQTTURL()
	}
	return a
}

// endpoint is the address that a client is told for an endpoint type; "" if there is none of it.
func (a addresses) endpoint(r *http.Request, endpointType string) string {
	switch endpointType {
	case "iot:Jobs":
		return cmp.Or(a.configured.Endpoint, atPort(r.Host, a.httpData))
	case "iot:Data-ATS", "iot:Data":
		return cmp.Or(a.configured.MQTTEndpoint, atPort(hostOnly(r.Host), a.mqtt))
	}
	return ""
}

// atPort is a host with the port of a URL; without a URL it is the host as it is.
func atPort(host, url string) string {
	_, address, ok := strings.Cut(url, "://")
	if !ok {
		return host
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return host
	}
	return net.JoinHostPort(hostOnly(host), port)
}

// hostOnly is a host without its port, if it has one.
func hostOnly(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}
