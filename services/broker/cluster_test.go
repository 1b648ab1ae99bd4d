package broker

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/droverhq/drover/eventstore/eventstoretest"
	"github.com/droverhq/drover/proto/id"
)

// clusterPatience is how long what needs an election may take on a slow machine.
const clusterPatience = 60 * time.Second

// startCluster starts three nodes and waits until each can do its part. The second value starts one again, as the node
// that it was.
func startCluster(t *testing.T, change func(*HubConfig)) (_ []*Hub, again func(i int)) {
	t.Helper()
	var routes []string
	var ports []int
	for range 3 {
		ports = append(ports, eventstoretest.FreePort(t))
		routes = append(routes, fmt.Sprintf("127.0.0.1:%d", ports[len(ports)-1]))
	}
	auth := Auth{}
	auth.draw()
	hubs, configs := make([]*Hub, 3), make([]HubConfig, 3)
	for i := range hubs {
		hubs[i] = startTestHub(t, func(c *HubConfig) {
			c.Name, c.Auth = fmt.Sprintf("hub-%d", i+1), auth
			c.Cluster = &Cluster{Port: ports[i], Routes: routes}
			c.NATSPort, c.LeafPort = eventstoretest.FreePort(t), eventstoretest.FreePort(t)
			if change != nil {
				change(c)
			}
			configs[i] = *c
		})
	}
	ready := func(i int) {
		await(t, clusterPatience, "node "+configs[i].Name, func() string { return strings.Join(hubs[i].Waiting(), ", ") })
	}
	for i := range hubs {
		ready(i)
	}
	return hubs, func(i int) {
		hubs[i] = startTestHub(t, func(c *HubConfig) { *c = configs[i] })
		ready(i)
	}
}

// await waits until waiting says nothing more.
func await(t *testing.T, patience time.Duration, what string, waiting func() string) {
	t.Helper()
	var last string
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if last = waiting(); last == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: after %v it waits for %s", what, patience, last)
		}
	}
}

// home is an owner of all homes: it counts what arrives, and answers as a device front does.
type home struct {
	nc   *nats.Conn
	mu   sync.Mutex
	came map[string]int // by subject and contents
}

func startHome(t *testing.T, d *Dialer) *home {
	t.Helper()
	nc, err := d.ConnectFront("home", nats.DontRandomize())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	o := &home{nc: nc, came: map[string]int{}}
	_, err = o.nc.Subscribe("drover.home.>", func(m *nats.Msg) {
		o.mu.Lock()
		o.came[m.Subject+" "+string(m.Data)]++
		o.mu.Unlock()
		if m.Reply != "" {
			_ = o.nc.Publish(m.Reply, m.Data)
			return
		}
		// drover.home.<home>.device.<thing>.<request>
		parts := strings.SplitN(m.Subject, ".", 6)
		_ = o.nc.Publish("$aws.things."+parts[4]+".jobs."+parts[5]+".accepted", m.Data)
	})
	if err == nil {
		err = o.nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *home) count(key string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.came[key]
}

// asker is a device or a client: it asks, and hears answers.
type asker struct {
	name    string
	ask     func(subject, contents string)
	heard   chan string // contents of answers
	subject []string    // with %s for the thing
	mapped  []string    // with %s for the thing
}

func natsAsker(t *testing.T, name, url, inbox string, subjects, mapped []string, options ...nats.Option) *asker {
	nc := anonymous(t, url, append(options, nats.CustomInboxPrefix(inbox))...)
	a := &asker{name: name, heard: make(chan string, 1000), subject: subjects, mapped: mapped}
	reply := nc.NewInbox()
	_, err := nc.Subscribe(reply, func(m *nats.Msg) {
		if len(m.Data) > 0 { // else the broker says that nobody answers now
			a.heard <- string(m.Data)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	a.ask = func(subject, contents string) { _ = nc.PublishRequest(subject, reply, []byte(contents)) }
	return a
}

func mqttAsker(t *testing.T, url string, subjects, mapped []string, trust *tls.Config) *asker {
	a := &asker{name: "an MQTT device", heard: make(chan string, 1000), subject: subjects, mapped: mapped}
	client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(url).SetClientID(rand.Text()).SetTLSConfig(trust))
	if token := client.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("connect: %v", token.Error())
	}
	t.Cleanup(func() { client.Disconnect(0) })
	heard := func(_ mqtt.Client, m mqtt.Message) {
		if strings.HasSuffix(m.Topic(), "/accepted") {
			a.heard <- string(m.Payload())
		}
	}
	if token := client.Subscribe("$aws/things/m1/jobs/#", 1, heard); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("subscribe: %v", token.Error())
	}
	a.ask = func(subject, contents string) {
		client.Publish(topicOf(subject), 1, false, contents).WaitTimeout(patience)
	}
	return a
}

// answered asks one thing until it is answered: interest crosses links and routes in its own time.
func (a *asker) answered(t *testing.T, thing, tag string) {
	t.Helper()
	var sent int
	deadline := time.Now().Add(clusterPatience)
	for {
		sent++
		a.ask(fmt.Sprintf(a.subject[0], thing), fmt.Sprintf("%s probe %d", tag, sent))
		select {
		case <-a.heard:
			return
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not answered after %v", a.name, clusterPatience)
		}
	}
}

var (
	requests       = []string{"$aws.things.%s.jobs.get", "$aws.things.%s.jobs.start-next", "$aws.things.%s.jobs.j-1.get", "$aws.things.%s.jobs.$next.get", "$aws.things.%s.jobs.j-1.update"}
	mapped         = []string{".device.%s.get", ".device.%s.start-next", ".device.%s.j-1.get", ".device.%s.$next.get", ".device.%s.j-1.update"}
	commands       = []string{"drover.cmd.execution.cancel.%s", "drover.cmd.execution.describe.%s"}
	mappedCommands = []string{".cmd.cancel.%s", ".cmd.describe.%s"}
)

// A device's request goes in at the node that its leaf is linked to, and comes out once at the owner of the thing's home,
// whichever node that is connected to; the answer comes back.
func TestRequestsCrossTheNodesOnceAndAnswersComeBack(t *testing.T) {
	hubs, _ := startCluster(t, nil)
	l, err := StartLeaf(LeafConfig{Dir: t.TempDir(), HubURLs: []string{hubs[0].LeafURL()}, HubPassword: hubs[0].LeafPassword()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	// A second leaf, at the node of the owner: what is not for its devices does not come to it.
	other := startTestLeaf(t, hubs[1])
	overheard := &record{}
	eavesdropper := anonymous(t, other.ClientURL())
	if _, err := eavesdropper.Subscribe("$aws.things.*.jobs.>", func(m *nats.Msg) {
		if !strings.Contains(m.Subject, ".accepted") && !strings.Contains(m.Subject, ".$inbox.") {
			overheard.add(m.Subject)
		}
	}); err != nil {
		t.Fatal(err)
	}

	for i, c := range []struct {
		what  string
		owner *Hub
	}{{"the owner at another node than the leaf", hubs[1]}, {"the owner at the third node", hubs[2]}, {"the owner at the leaf's node", hubs[0]}} {
		owner := startHome(t, c.owner.Dialer())
		for _, a := range []*asker{
			natsAsker(t, "a NATS device", l.ClientURL(), "$aws.things.n1.jobs.$inbox", requests, mapped),
			mqttAsker(t, l.MQTTURL(), requests, mapped, nil),
			natsAsker(t, "a client of the first node", hubs[0].ClientURL(), "_INBOX", commands, mappedCommands),
			natsAsker(t, "a client of the second node", hubs[1].ClientURL(), "_INBOX", commands, mappedCommands),
		} {
			checkOnce(t, c.what, a, owner, i)
		}
		owner.nc.Close()
	}
	checkAcknowledged(t, hubs)
	if list := overheard.all(); len(list) > 0 {
		t.Errorf("a leaf that had no part in it was sent %v", list)
	}
}

// checkAcknowledged has a client of each node publish to a stream of three replicas: he is acknowledged where he is.
func checkAcknowledged(t *testing.T, hubs []*Hub) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), clusterPatience)
	defer cancel()
	js, err := jetstream.New(connectAs(t, hubs[0].Dialer().ConnectInbox))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "inbox", Subjects: []string{"drover.inbox.>"}, Replicas: 3}); err != nil {
		t.Fatal(err)
	}
	for _, h := range hubs {
		client := anonymous(t, h.ClientURL())
		await(t, clusterPatience, "a client of "+h.server.Name(), func() string { // until the stream is known there
			m, err := client.Request("drover.inbox.job.create", []byte("{}"), patience)
			if err != nil || !strings.Contains(string(m.Data), `"stream":"inbox"`) {
				return fmt.Sprintf("an acknowledgement: %v", err)
			}
			return ""
		})
	}
}

// A node that is gone takes neither its leafs nor the owners with it: both go on with another, and so do requests and
// answers, each once.
func TestLeafsAndOwnersGoOnWithAnotherNode(t *testing.T) {
	hubs, again := startCluster(t, nil)
	var urls, leafURLs []string
	for _, h := range hubs {
		urls, leafURLs = append(urls, h.ClientURL()), append(leafURLs, h.LeafURL())
	}
	l, err := StartLeaf(LeafConfig{Dir: t.TempDir(), HubURLs: leafURLs, HubPassword: hubs[0].LeafPassword()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	linkedTo := func() int { return slices.IndexFunc(hubs, func(h *Hub) bool { return h.server.NumLeafNodes() > 0 }) }
	linked := linkedTo()
	at := (linked + 1) % 3
	// The owner begins at another node than the leaf.
	owner := startHome(t, &Dialer{URLs: append([]string{urls[at]}, urls...), Auth: hubs[0].auth})
	askers := []*asker{
		natsAsker(t, "a NATS device", l.ClientURL(), "$aws.things.n1.jobs.$inbox", requests, mapped),
		mqttAsker(t, l.MQTTURL(), requests, mapped, nil),
	}
	check := func(what string, round int) {
		for _, a := range askers {
			checkOnce(t, what, a, owner, round)
		}
	}
	check("before", 0)
	hubs[linked].Close()
	check("the leaf's node is gone", 1)
	// It comes back, as the same node with the same folder, and the owner's goes.
	again(linked)
	hubs[at].Close()
	check("the owner's node is gone", 2)
}

// checkOnce asks every kind of request once, and counts arrivals and answers.
func checkOnce(t *testing.T, what string, a *asker, owner *home, round int) {
	t.Helper()
	thing := "m1"
	if strings.Contains(a.name, "NATS") || strings.Contains(a.name, "client") {
		thing = "n1"
	}
	tag := fmt.Sprintf("%s, round %d", a.name, round)
	a.answered(t, thing, tag)
	var want []string
	for i, s := range a.subject {
		contents := fmt.Sprintf("%s, request %d", tag, i)
		a.ask(fmt.Sprintf(s, thing), contents)
		want = append(want, contents)
	}
	last := tag + ", the last" // of one connection, so it comes behind the others
	a.ask(fmt.Sprintf(a.subject[0], thing), last)
	heard := map[string]int{}
	for deadline := time.After(clusterPatience); heard[last] == 0; {
		select {
		case s := <-a.heard:
			heard[s]++
		case <-deadline:
			t.Fatalf("%s: %s: the last request was not answered; heard %v", what, a.name, heard)
		}
	}
	for i, contents := range want {
		key := fmt.Sprintf("drover.home.%d"+a.mapped[i], id.HomeOf(thing, 7), thing) + " " + contents
		if n := owner.count(key); n != 1 {
			t.Errorf("%s: %s arrived %d times", what, key, n)
		}
		if heard[contents] != 1 {
			t.Errorf("%s: %s was answered %d times", what, contents, heard[contents])
		}
	}
}
