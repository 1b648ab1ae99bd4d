package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	devices "github.com/droverhq/drover/services/fronts/device"
)

// subjects is what an attacker tries: every kind of subject that means something to the server or to us, each as it
// stands, and each of a list of prefixes with a list of tails.
func subjects() []string {
	list := []string{
		"log.job.1", "log.targeting.1", "log.rollout.1", "log.execution.0.1", "log.job", "log",
		"$JS.API.INFO", "$JS.API.STREAM.LIST", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.CREATE.evil", "$JS.API.STREAM.UPDATE.log-job-0001",
		"$JS.API.STREAM.DELETE.log-job-0001", "$JS.API.STREAM.PURGE.log-job-0001", "$JS.API.STREAM.INFO.log-job-0001",
		"$JS.API.STREAM.MSG.GET.log-job-0001", "$JS.API.STREAM.MSG.DELETE.log-job-0001", "$JS.API.STREAM.SNAPSHOT.log-job-0001",
		"$JS.API.STREAM.RESTORE.evil", "$JS.API.DIRECT.GET.log-job-0001", "$JS.API.CONSUMER.CREATE.log-job-0001",
		"$JS.API.CONSUMER.DELETE.log-job-0001.c", "$JS.API.ACCOUNT.PURGE.DROVER", "$JS.API.SERVER.REMOVE",
		"$JS.ACK.log-job-0001.c.1.1.1.1.0", "$JS.FC.log-job-0001.c.x", "$JSC.R.x.y",
		"$KV.leases.job", "$O.bundles.C.x", "$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.JSZ", "$SYS.REQ.ACCOUNT.PING.CONNZ",
		"$SYS.REQ.USER.INFO", "$SYS.ACCOUNT.DROVER.CONNECT", "$SYS.SERVER.x.SHUTDOWN", "$NRG.V.x", "$NRG.P.x",
		"$MQTT.msgs.log.job.1", "$MQTT.sub.x", "$MQTT.deliver.pubrel.x", "$MQTT.JSA.x", "$MQTT.out.x",
		"_INBOX.x", "_INBOX_SERVICE.x.1", "_INBOX_FRONT.x.1", "_R_.x", "_GR_.a.b.c", "$GR.a", "$LDS.x",
		"$SRV.PING", "$SRV.INFO", "$SRV.STATS.drover-job", "$SRV.evil",
		"drover.cmd.job.create", "drover.cmd.execution.update.t1", "drover.cmd.evil", "drover.query.jobs.list", "drover.inbox.job.create",
		"drover.poison.job.create", "$JS.API.STREAM.DELETE.inbox", "$JS.API.STREAM.MSG.GET.inbox", "$JS.API.CONSUMER.MSG.NEXT.inbox.inbox",
		"_INBOX_INBOX.x.1", "_INBOX_HTTP.x.1",
		"drover.home.0.device.t1.get", "drover.home.0.device.t1.j1.update", "drover.home.0.device.t1.start-next",
		"drover.home.0.cmd.update.t1", "drover.home.0.cmd.cancel.t1", "drover.home.0.evil.t1", "drover.home",
		"drover.feed.job.created.j1", "drover.outcome.c1", "drover.evil", "drover",
		"$aws.things.t1.jobs.get", "$aws.things.t1.jobs.start-next", "$aws.things.t1.jobs.j1.get", "$aws.things.t1.jobs.j1.update",
		"$aws.things.t1.jobs.evil", "$aws.things.t1.jobs.j1.x.evil", "$aws.things.t1.jobs.notify", "$aws.things.t1.jobs.notify-next",
		"$aws.things.t1.jobs.get.accepted", "$aws.things.t1.jobs.j1.update.rejected", "$aws.things.t1.jobs.$inbox.x.1",
		"$aws.things.t1.jobs", "$aws.things.t1", "$aws.things.t1.shadow.update", "$aws.events.job.j1.completed", "$aws.evil",
		"evil", "a.b.c",
	}
	for _, prefix := range []string{"$JS.hub.API", "$JS.leaf.API", "$JS.API.$JS.hub.API"} {
		for _, tail := range []string{"STREAM.CREATE.evil", "STREAM.DELETE.log-job-0001", "STREAM.LIST", "CONSUMER.CREATE.log-job-0001"} {
			list = append(list, prefix+"."+tail)
		}
	}
	return list
}

// hostile are subjects on which nobody has reason to publish: to hear one is to have been made to.
var hostile = []string{
	"log.hostile.1", "$KV.leases.hostile", "drover.feed.job.hostile", "drover.outcome.hostile", "drover.inbox.hostile", "drover.poison.hostile",
	"drover.cmd.hostile", "drover.query.hostile", "drover.home.0.device.hostile.get", "drover.home.0.cmd.cancel.hostile",
	"$aws.things.hostile.jobs.get", "$aws.things.hostile.jobs.notify-next", "$aws.things.hostile.jobs.get.accepted", "$aws.events.job.hostile.completed",
	"_INBOX_FRONT.hostile.1", "_INBOX_INBOX.hostile.1", "_INBOX_HTTP.hostile.1", "_INBOX_SERVICE.hostile.1", "$SRV.hostile", "$JS.ACK.hostile",
}

// attacker is somebody without a password, and what he may do.
type attacker struct {
	name      string
	publish   func(subject string)             // at every quality of service there is
	subscribe func(subject string)             // refused or not
	received  func() []string                  // the subjects of what he was sent
	publishes func(subject string) bool        // may
	reads     func(subject string) bool        // may
	request   func(subject, reply string) bool // false: his protocol has no reply subject
}

func TestWhoHasNoPasswordReachesNoLogNoStreamAndNoCommandThatIsNotHis(t *testing.T) {
	h := startTestHub(t, func(c *HubConfig) { c.Homes = 1 })
	l := startTestLeaf(t, h)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()

	// What there is to be reached: streams, a bucket, a command's endpoint, a home.
	service, asker := connectAs(t, h.Dialer().Connect), root(t, h, "DROVER")
	device := anonymous(t, l.ClientURL(), nats.CustomInboxPrefix("$aws.things.t1.jobs.$inbox"))
	js, _ := jetstream.New(service)
	for stream, subject := range map[string]string{"log-job-0001": "log.>", "feed": "drover.feed.>", "outcomes": "drover.outcome.>"} {
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: stream, Subjects: []string{subject}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := js.Publish(ctx, "log.job.1", []byte("the first commit")); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "leases"}); err != nil {
		t.Fatal(err)
	}
	inbox, _ := jetstream.New(connectAs(t, h.Dialer().ConnectInbox))
	for stream, subject := range map[string]string{"inbox": "drover.inbox.>", "poison": "drover.poison.>"} {
		if _, err := inbox.CreateStream(ctx, jetstream.StreamConfig{Name: stream, Subjects: []string{subject}}); err != nil {
			t.Fatal(err)
		}
	}
	svc, err := micro.AddService(connectAs(t, h.Dialer().ConnectFront), micro.Config{Name: "drover-job", Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := svc.AddEndpoint("create", micro.HandlerFunc(func(r micro.Request) { _ = r.Respond([]byte("{}")) }), micro.WithEndpointSubject("drover.cmd.job.create")); err != nil {
		t.Fatal(err)
	}
	front := connectAs(t, h.Dialer().ConnectFront)
	home, err := devices.New(devices.Config{Requests: front, Notify: front, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Submit: func(_ proto.Message, done func(proto.Message, error)) { done(&v1.GetPendingReply{}, nil) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { home.Close() })
	if _, err := devices.NewUnknown(front, nil); err != nil {
		t.Fatal(err)
	}
	before := storeOf(t, h)

	// The wiretap hears all that is published at the hub, also what a leaf forwards.
	const mark = "from an attacker"
	tap, strays := &record{}, &record{}
	for _, account := range []string{"DROVER", "LOGS"} {
		ear := root(t, h, account)
		if _, err := ear.Subscribe(">", func(m *nats.Msg) {
			if slices.Contains(hostile, m.Subject) {
				strays.add(m.Subject)
			}
			if strings.Contains(string(m.Data), mark) {
				tap.add(m.Subject)
				if account == "LOGS" {
					t.Errorf("a message of an attacker came to the account of the logs, on %s", m.Subject)
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
		if err := ear.Flush(); err != nil {
			t.Fatal(err)
		}
	}

	for _, a := range []attacker{
		natsAttacker("a client of the hub", anonymous(t, h.ClientURL()), mark, mayClient, mayClientRead),
		natsAttacker("a NATS device of the leaf", anonymous(t, l.ClientURL()), mark, mayDevice, mayDeviceRead),
		mqttAttacker(t, "an MQTT device of the leaf", l.MQTTURL(), mark, mayDevice, mayDeviceRead),
		httpAttacker(t, h, mark),
	} {
		t.Run(a.name, func(t *testing.T) {
			tap.reset()
			arrived := map[string]bool{}
			for _, s := range subjects() {
				a.publish(s)
			}
			// The last one is allowed to everybody; what came before it on its connection has come.
			for _, s := range []string{"$aws.things.last.jobs.get", "drover.cmd.last"} {
				a.publish(s)
			}
			waitFor(t, func() bool { return tap.has("last") })
			for _, s := range tap.all() {
				arrived[s] = true
				if !strings.Contains(s, "last") && !a.publishes(s) {
					t.Errorf("his message arrived on %s", s)
				}
			}
			for _, s := range subjects() {
				if a.publishes(s) && !arrived[s] && !arrived[mappedOf(s)] {
					t.Errorf("%s is his to publish, and did not arrive", s)
				}
			}
			// Whoever answers publishes where the asker says; so does a stream that acknowledges.
			for _, reply := range append(hostile, "log.job.1", "$JS.API.STREAM.DELETE.log-job-0001", "$JS.API.STREAM.PURGE.log-job-0001",
				"$KV.leases.job", "$JS.API.STREAM.DELETE.inbox", "$JS.API.STREAM.PURGE.inbox", "$JS.API.STREAM.MSG.DELETE.inbox") {
				for _, s := range []string{"$SRV.PING", "$SRV.INFO", "$SRV.STATS", "drover.cmd.job.create", "drover.inbox.job.create",
					"$aws.things.t1.jobs.get", "$aws.things.t1.jobs.evil", "$aws.things.t1.jobs.j1.update"} {
					a.request(s, reply)
				}
			}
			// Each answerer has done with them once it answers a last one.
			for _, s := range []string{"drover.cmd.job.create", "$SRV.PING", "drover.inbox.last", "$JS.API.INFO"} {
				if _, err := asker.Request(s, nil, patience); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := device.Request("$aws.things.t1.jobs.get", nil, patience); err != nil {
				t.Fatal(err)
			}
			for _, s := range strays.all() {
				t.Errorf("somebody was made to publish on %s", s)
			}
			now := storeOf(t, h)
			for stream, last := range before {
				if now[stream] != last && stream != "inbox" {
					t.Errorf("stream %s ended at %d, and ends at %d", stream, last, now[stream])
				}
			}
			if len(now) != len(before) || now["inbox"] < before["inbox"] {
				t.Errorf("streams before %v, after %v", before, now)
			}

			for _, s := range filters() {
				a.subscribe(s)
			}
			waitFor(t, func() bool { // interest crosses the link in its own time
				_ = asker.Publish("$aws.things.t1.jobs.notify", nil)
				_ = asker.Publish("_INBOX_HTTP.first.1", nil)
				_ = service.Publish("drover.feed.first", nil)
				return len(a.received()) > 0
			})
			for _, s := range subjects() {
				for _, nc := range []*nats.Conn{service, asker} {
					_ = nc.Publish(s+".told", nil)
					if !strings.HasPrefix(s, "$JS.") { // these two may purge
						_ = nc.Publish(s, nil)
					}
				}
			}
			_ = asker.Publish("$aws.things.end.jobs.notify", nil)
			_ = asker.Publish("_INBOX_HTTP.end.1", nil)
			_ = service.Publish("drover.feed.end", nil)
			waitFor(t, func() bool {
				return slices.ContainsFunc(a.received(), func(s string) bool { return strings.Contains(s, ".end") })
			})
			for _, s := range []string{"log.job.1", "$KV.leases.job"} { // what was sent before is stored when these are
				if _, err := js.Publish(ctx, s, nil); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := asker.Request("drover.poison.last", nil, patience); err != nil {
				t.Fatal(err)
			}
			told := storeOf(t, h)
			for _, stream := range []string{"log-job-0001", "KV_leases", "feed", "outcomes", "poison"} {
				if told[stream] == before[stream] {
					t.Errorf("what was published in earnest is not stored in %s: the check above sees nothing", stream)
				}
			}
			before = told
			for _, s := range a.received() {
				if !a.reads(s) {
					t.Errorf("he was sent what was published on %s", s)
				}
			}
		})
	}
	for name := range streamsOf(t, l.Server()) {
		if !strings.HasPrefix(name, "$MQTT_") {
			t.Errorf("the leaf holds stream %s", name)
		}
	}
}

// JetStream answers a publish where the publisher says, and no permission stands between: within an account, a reply
// subject reaches any stream. So clients have an account of their own, into which all their answers come back, and the logs
// have one.
func TestAnAcknowledgementReachesNoLog(t *testing.T) {
	h := startTestHub(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, account := range []string{"DROVER", "LOGS"} {
		js, _ := jetstream.New(root(t, h, account))
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "log-job-0001", Subjects: []string{"log.>"}}); err != nil {
			t.Fatal(err)
		}
	}
	inbox, _ := jetstream.New(connectAs(t, h.Dialer().ConnectInbox))
	if _, err := inbox.CreateStream(ctx, jetstream.StreamConfig{Name: "inbox", Subjects: []string{"drover.inbox.>"}}); err != nil {
		t.Fatal(err)
	}
	last := func(account string) uint64 {
		js, _ := jetstream.New(root(t, h, account))
		info, err := js.Stream(ctx, "log-job-0001")
		if err != nil {
			t.Fatal(err)
		}
		return info.CachedInfo().State.LastSeq
	}
	client := anonymous(t, h.ClientURL())
	if err := client.PublishRequest("drover.inbox.job.create", "log.job.1", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if m, err := client.Request("drover.inbox.job.create", []byte("{}"), patience); err != nil || !strings.Contains(string(m.Data), `"stream":"inbox"`) {
		t.Fatalf("a client's publish is not acknowledged to him: %v", err)
	}
	if in, logs := last("DROVER"), last("LOGS"); in != 0 || logs != 0 {
		t.Errorf("an acknowledgement to a client is in a stream: %d, %d", in, logs)
	}
	if err := root(t, h, "DROVER").PublishRequest("drover.inbox.job.create", "log.job.1", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return last("DROVER") == 1 }) // in this account, it would be the end of a log
	if n := last("LOGS"); n != 0 {
		t.Errorf("the log holds %d foreign messages", n)
	}
}

// A request within the account of commands whose reply subject is a device's request does reach it if the one who answers
// may publish there: the user front is what stands between.
func TestOnlyTheUserFrontMayAnswer(t *testing.T) {
	h := startTestHub(t, nil)
	home := root(t, h, "DROVER")
	got, err := home.SubscribeSync("drover.home.>")
	if err == nil {
		err = home.FlushTimeout(patience)
	}
	if err != nil {
		t.Fatal(err)
	}
	asker := root(t, h, "DROVER")
	for _, c := range []struct {
		user    string
		connect func(string, ...nats.Option) (*nats.Conn, error)
		reaches bool
	}{{"front", h.Dialer().ConnectFront, false}, {"root", func(string, ...nats.Option) (*nats.Conn, error) {
		return nats.Connect(h.ClientURL(), nats.UserInfo("root-DROVER", "root"), nats.Timeout(patience))
	}, true}} {
		nc := connectAs(t, c.connect)
		svc, err := micro.AddService(nc, micro.Config{Name: c.user, Version: "1.0.0"})
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := asker.PublishRequest("$SRV.PING."+c.user, "drover.home.0.device.t1.get", nil); err != nil {
			t.Fatal(err)
		}
		// A second request tells when the first is done: it is answered where it should be.
		if _, err := asker.Request("$SRV.PING."+c.user, nil, patience); err != nil {
			t.Fatal(err)
		}
		// The answer before it has been routed by then; behind this, it is here.
		if err := home.FlushTimeout(patience); err != nil {
			t.Fatal(err)
		}
		n, _, err := got.Pending()
		if reached := n > 0; err != nil || reached != c.reaches {
			t.Errorf("answered as %s: reached a home: %v, %v", c.user, reached, err)
		}
		_ = svc.Stop()
	}
}

func TestNobodyIsALeafOrAServiceWithoutThePassword(t *testing.T) {
	seen := &said{}
	h := startTestHub(t, func(c *HubConfig) { c.Logger = newLogger(seen) })
	l := startTestLeaf(t, h)
	for _, user := range []string{"service", "front", "inbox", "http", "leaf", "sys", "client", "device", "root", ""} {
		for _, password := range []string{"", user, "password", "wrong"} {
			if user == "" && password == "" {
				continue // what an anonymous client is
			}
			if nc, err := nats.Connect(h.ClientURL(), nats.UserInfo(user, password)); err == nil {
				nc.Close()
				t.Errorf("the hub let %q in with password %q", user, password)
			}
			if user == "device" && password == "" {
				continue
			}
			if nc, err := nats.Connect(l.ClientURL(), nats.UserInfo(user, password)); err == nil {
				nc.Close()
				t.Errorf("the leaf let %q in with password %q", user, password)
			}
		}
	}
	if nc, err := nats.Connect(h.ClientURL(), nats.UserInfo("leaf", h.LeafPassword())); err == nil {
		nc.Close()
		t.Error("a leaf's password let a client in")
	}
	// A server that connects as a leaf without a name is not `client`: it is turned away, more than once.
	seen.forget()
	rogue, _, err := run(strings.Replace(rogueLeaf, "URL", h.LeafURL(), 1), slog.New(slog.NewTextHandler(io.Discard, nil)),
		func(o *server.Options) { o.StoreDir = t.TempDir() })
	if err != nil {
		t.Fatal(err)
	}
	defer stop(rogue)
	waitFor(t, func() bool {
		if h.server.NumLeafNodes() > 1 {
			t.Fatal("a leaf without a password is linked")
		}
		return seen.has("authentication error")
	})
	if rogue.NumLeafNodes() > 0 {
		t.Error("a leaf without a password thinks that it is linked")
	}
}

const rogueLeaf = `
server_name: rogue
listen: "127.0.0.1:-1"
jetstream { domain: rogue }
leafnodes { remotes: [ { url: "URL" } ] }
`

// A leaf whose devices are anybody is still bound by its link.
func TestALeafThatGivesItsDevicesEverythingReachesNothingMore(t *testing.T) {
	h := startTestHub(t, nil)
	url := strings.Replace(h.LeafURL(), "://", "://leaf:"+h.LeafPassword()+"@", 1)
	rogue, opts, err := run(strings.Replace(rogueLeaf, "URL", url, 1), slog.New(slog.NewTextHandler(io.Discard, nil)),
		func(o *server.Options) { o.StoreDir = t.TempDir() })
	if err != nil {
		t.Fatal(err)
	}
	defer stop(rogue)
	waitFor(t, func() bool { return rogue.NumLeafNodes() == 1 })
	service := root(t, h, "DROVER")
	tap := &record{}
	const mark = "from an attacker"
	if _, err := service.Subscribe(">", func(m *nats.Msg) {
		if string(m.Data) == mark {
			tap.add(m.Subject)
		}
	}); err != nil {
		t.Fatal(err)
	}
	a := natsAttacker("", anonymous(t, address("nats", opts.Host, opts.Port)), mark, nil, nil)
	for _, s := range filters() {
		a.subscribe(s)
	}
	// The link learns the interest of both sides in its own time; the two that may pass say when.
	waitFor(t, func() bool {
		a.publish("$aws.things.last.jobs.get")
		_ = service.Publish("$aws.things.last.jobs.notify", nil)
		return tap.has("last") && slices.Contains(a.received(), "$aws.things.last.jobs.notify")
	})
	for _, s := range subjects() {
		a.publish(s)
		_ = service.Publish(s+".told", nil)
	}
	a.publish("$aws.things.end.jobs.get")
	_ = service.Publish("$aws.things.end.jobs.notify", nil)
	waitFor(t, func() bool {
		return tap.has("device.end") && slices.Contains(a.received(), "$aws.things.end.jobs.notify")
	})
	for _, s := range tap.all() {
		if !hasPrefix(s, "$aws.things.t1.jobs.", "$aws.things.last.jobs.") && !mappedDevice(s) {
			t.Errorf("%s passed the link to the hub", s)
		}
	}
	for _, s := range a.received() {
		if strings.HasSuffix(s, ".told") && !hasPrefix(s, "$aws.things.t1.jobs.", "$aws.events.") {
			t.Errorf("%s passed the link to the leaf", s)
		}
	}
}

// mayClient, mayDevice: what is theirs to publish, as it is heard at the hub, mapped or not.
func mayClient(s string) bool {
	return hasPrefix(s, "drover.cmd.", "drover.query.", "drover.inbox.", "$SRV.") || s == "drover.home.0.cmd.update.t1" // mapped
}

func mayClientRead(s string) bool {
	return hasPrefix(s, "_INBOX.", "drover.feed.", "$aws.events.", "drover.outcome.")
}

func mayHTTP(s string) bool {
	return hasPrefix(s, "drover.cmd.", "drover.query.", "drover.home.0.cmd.")
}

func mayHTTPRead(s string) bool { return hasPrefix(s, "_INBOX_HTTP.") }

func mayDevice(s string) bool {
	if strings.HasPrefix(s, "drover.home.0.device.") {
		return true
	}
	return hasPrefix(s, "$aws.things.t1.jobs.") && !strings.HasPrefix(s, "$aws.things.t1.jobs.$inbox.") &&
		!hasSuffix(s, ".notify", ".notify-next", ".accepted", ".rejected")
}

func mayDeviceRead(s string) bool {
	return hasPrefix(s, "$aws.events.") || hasPrefix(s, "$aws.things.") && (strings.Contains(s, ".jobs.") || strings.HasSuffix(s, ".jobs"))
}

func hasPrefix(s string, list ...string) bool {
	return slices.ContainsFunc(list, func(p string) bool { return strings.HasPrefix(s, p) })
}

func hasSuffix(s string, list ...string) bool {
	return slices.ContainsFunc(list, func(p string) bool { return strings.HasSuffix(s, p) })
}

// mappedOf is where the hub hears a request of thing t1, with one home.
func mappedOf(s string) string {
	if rest, ok := strings.CutPrefix(s, "$aws.things.t1.jobs."); ok {
		return "drover.home.0.device.t1." + rest
	}
	if rest, ok := strings.CutPrefix(s, "drover.cmd.execution."); ok {
		return "drover.home.0.cmd." + rest
	}
	return s
}

// mappedDevice: seven homes, so a request that was made up by hand for home 0 is told from a mapped one of t1.
func mappedDevice(s string) bool {
	return slices.ContainsFunc([]string{"t1", "last", "end"}, func(thing string) bool {
		return strings.HasPrefix(s, fmt.Sprintf("drover.home.%d.device.%s.", id.HomeOf(thing, 7), thing))
	})
}

func filters() []string {
	return []string{
		">", "*.>", "*", "*.*.*", "log.>", "log.job.1", "log.job.*", "drover.>", "drover.home.>", "drover.home.*.device.>", "drover.cmd.>",
		"drover.query.>", "drover.inbox.>", "drover.poison.>", "drover.feed.>", "drover.outcome.>", "$JS.>", "$JS.API.>", "$JS.hub.API.>", "$JS.ACK.>", "$KV.>", "$KV.leases.>",
		"$O.>", "$SYS.>", "$SRV.>", "$MQTT.>", "$MQTT.msgs.>", "_INBOX.>", "_INBOX.*.*", "_INBOX_SERVICE.>", "_INBOX_FRONT.>", "_INBOX_INBOX.>", "_INBOX_HTTP.>", "_R_.>", "$NRG.>", "$LDS.>",
		"$aws.>", "$aws.*.>", "$aws.things.>", "$aws.things.*.>", "$aws.things.*.*.>", "$aws.things.*.jobs.>", "$aws.things.t1.shadow.>", "$aws.events.>",
	}
}

func natsAttacker(name string, nc *nats.Conn, mark string, publishes, reads func(string) bool) attacker {
	got := &record{}
	return attacker{
		name: name, publishes: publishes, reads: reads, received: got.all,
		publish: func(s string) {
			plain := &nats.Msg{Subject: s, Data: []byte(mark)}
			traced := &nats.Msg{Subject: s, Data: []byte(mark), Header: nats.Header{
				"Nats-Trace-Dest": {"log.job.1"}, "Nats-Expected-Stream": {"log-job-0001"}, "Nmqtt-Pub": {"1"}, "Nats-Msg-Id": {"x"}}}
			_ = nc.PublishMsg(plain)
			_ = nc.PublishMsg(traced)
		},
		request: func(s, reply string) bool {
			err := nc.PublishRequest(s, reply, []byte("{}"))
			return errors.Join(err, nc.Flush()) == nil
		},
		subscribe: func(s string) { _, _ = nc.Subscribe(s, func(m *nats.Msg) { got.add(m.Subject) }); _ = nc.Flush() },
	}
}

// httpAttacker is who has come to the password of the HTTP front. He makes no requests here: within its account whoever
// asks chooses where an answer is published, among inboxes and devices' topics.
func httpAttacker(t *testing.T, h *Hub, mark string) attacker {
	a := natsAttacker("the HTTP front", connectAs(t, h.Dialer().ConnectHTTP), mark, mayHTTP, mayHTTPRead)
	a.request = func(string, string) bool { return false }
	return a
}

func mqttAttacker(t *testing.T, name, url, mark string, publishes, reads func(string) bool) attacker {
	got := &record{}
	var client mqtt.Client
	connect := func() {
		client = mqtt.NewClient(mqtt.NewClientOptions().AddBroker(url).SetClientID("attacker").SetCleanSession(false).SetAutoReconnect(false).SetOrderMatters(true).
			SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { got.add(subjectOf(m.Topic())) }))
		if token := client.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
			t.Fatalf("connect: %v", token.Error())
		}
	}
	connect()
	t.Cleanup(func() { client.Disconnect(0) })
	return attacker{
		name: name, publishes: publishes, reads: reads, received: got.all,
		publish: func(s string) {
			for _, how := range []struct {
				qos    byte
				retain bool
			}{{0, false}, {1, false}, {1, true}} {
				if !client.IsConnected() {
					connect() // the broker closes on some topics
				}
				client.Publish(topicOf(s), how.qos, how.retain, mark).WaitTimeout(patience)
			}
		},
		request: func(string, string) bool { return false },
		subscribe: func(s string) {
			if !client.IsConnected() {
				connect()
			}
			filter := strings.NewReplacer(".", "/", "*", "+", ">", "#").Replace(s)
			for _, f := range []string{filter, topicOf(s)} { // "*" and ">" stand for themselves, or so it is hoped
				client.Subscribe(f, 1, nil).WaitTimeout(patience)
				if !client.IsConnected() {
					connect() // to a session that holds what was granted
				}
			}
		},
	}
}

func topicOf(subject string) string { return strings.ReplaceAll(subject, ".", "/") }
func subjectOf(topic string) string { return strings.ReplaceAll(topic, "/", ".") }

// storeOf is the last sequence of every stream of the hub.
func storeOf(t *testing.T, h *Hub) map[string]uint64 { return streamsOf(t, h.server) }

func streamsOf(t *testing.T, s *server.Server) map[string]uint64 {
	t.Helper()
	info, err := s.Jsz(&server.JSzOptions{Accounts: true, Streams: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(info); err != nil {
		t.Fatal(err)
	}
	last := map[string]uint64{}
	for _, a := range info.AccountDetails {
		for _, stream := range a.Streams {
			last[stream.Name] = stream.State.LastSeq
		}
	}
	return last
}

// record is a list of subjects that several goroutines fill.
type record struct {
	mu   sync.Mutex
	list []string
}

func (r *record) add(s string) { r.mu.Lock(); r.list = append(r.list, s); r.mu.Unlock() }
func (r *record) reset()       { r.mu.Lock(); r.list = nil; r.mu.Unlock() }
func (r *record) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}
func (r *record) has(part string) bool {
	return slices.ContainsFunc(r.all(), func(s string) bool { return strings.Contains(s, part) })
}

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nothing after %v", patience)
		}
	}
}
