package cli_test

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/droverhq/drover/services/node"
)

// Row 20 of the checklist: events are off by default; a cancel and a deletion have two phases; the end of an execution is
// told. They are heard over MQTT at the leaf, where AWS's clients are, of the real program.
// Broken once by leaving out the stream's import into the leaf's account: nothing was heard.
func TestSpec11_20_EventsAreToldByCategory(t *testing.T) {
	t.Parallel()
	d := newDrover(t)
	d.begin()
	d.awaitReady()
	e, err := node.ReadEndpoints(d.data)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	heard := map[string]string{}
	client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(strings.Replace(e.MQTT, "mqtt://", "tcp://", 1)).SetClientID("backend"))
	for _, token := range []func() mqtt.Token{client.Connect, func() mqtt.Token {
		return client.Subscribe("$aws/events/#", 1, func(_ mqtt.Client, m mqtt.Message) {
			mu.Lock()
			defer mu.Unlock()
			heard[m.Topic()] = string(m.Payload())
		})
	}} {
		if token := token(); !token.WaitTimeout(patience) || token.Error() != nil {
			t.Fatal(token.Error())
		}
	}
	defer client.Disconnect(0)
	topics := func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Sorted(maps.Keys(heard))
	}

	d.run("thing", "create", "lamp") // is not told
	d.run("event-config", "set", "JOB=on", "JOB_EXECUTION=on")
	d.run("job", "create", "fw", "--document", "{}", "--target", "thing/lamp", "--description", "valves")
	d.eventually(patience, "the job is queued", func() bool {
		_, out, _ := d.try("job", "describe", "fw")
		return strings.Contains(out, "queued 1")
	})
	d.run("job", "cancel", "fw", "--comment", "wrong valves")
	d.eventually(patience, "the cancel is told", func() bool { return slices.Contains(topics(), "$aws/events/job/fw/canceled") })
	d.run("thing", "create", "lamp-2")
	d.run("job", "delete", "fw")
	want := []string{
		"$aws/events/job/fw/canceled", "$aws/events/job/fw/cancellation_in_progress", "$aws/events/job/fw/deleted", "$aws/events/job/fw/deletion_in_progress",
		"$aws/events/jobExecution/fw/canceled", "$aws/events/jobExecution/fw/deleted",
	}
	about := func() []string {
		return slices.DeleteFunc(topics(), func(topic string) bool { return !strings.Contains(topic, "/fw/") })
	}
	d.eventually(patience, "all of it is told", func() bool { return len(about()) >= len(want) })
	if got := about(); !slices.Equal(got, want) {
		t.Errorf("heard %v", got)
	}
	mu.Lock()
	defer mu.Unlock()
	for topic, text := range map[string]string{
		"$aws/events/job/fw/cancellation_in_progress": `"comment":"wrong valves"`,
		"$aws/events/job/fw/deleted":                  `"description":"valves"`,
		"$aws/events/jobExecution/fw/canceled":        `"thingArn":"arn:aws:iot:us-east-1:123456789012:thing/lamp"`,
	} {
		if !strings.Contains(heard[topic], text) {
			t.Errorf("%s: %s", topic, heard[topic])
		}
	}
	for topic := range heard {
		if strings.HasPrefix(topic, "$aws/events/thing") {
			t.Errorf("%s was told, and its category is off", topic)
		}
	}
}
