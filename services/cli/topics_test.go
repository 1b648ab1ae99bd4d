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
// told; the registry's events have AWS's topics, each category its own. They are heard over MQTT at the leaf, where AWS's clients are,
// of the real program.
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
	heardAll := func() map[string]string {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(heard)
	}
	topics := func() []string { return slices.Sorted(maps.Keys(heardAll())) }

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
	for topic := range heardAll() {
		if strings.HasPrefix(topic, "$aws/events/thing") {
			t.Errorf("%s was told, and its category is off", topic)
		}
	}

	d.run("event-config", "set", "THING_GROUP=on", "THING_GROUP_HIERARCHY=on", "THING_TYPE=on", "THING_TYPE_ASSOCIATION=on", "CERTIFICATE=on")
	d.run("group", "create", "plant")
	d.run("group", "create", "hall", "--parent", "plant", "--description", "north")
	d.run("group", "delete", "hall")
	d.run("thing-type", "create", "lamps")
	d.run("thing", "update", "lamp", "--type", "lamps")
	registry := []string{
		"$aws/events/thingGroup/plant/created", "$aws/events/thingGroup/hall/created", "$aws/events/thingGroup/hall/deleted",
		"$aws/events/thingGroupHierarchy/thingGroup/plant/childThingGroup/hall/added", "$aws/events/thingGroupHierarchy/thingGroup/plant/childThingGroup/hall/removed",
		"$aws/events/thingType/lamps/created", "$aws/events/thingTypeAssociation/thing/lamp/thingType/lamps/added",
	}
	d.eventually(patience, "the registry's events are told", func() bool {
		got := topics()
		return !slices.ContainsFunc(registry, func(topic string) bool { return !slices.Contains(got, topic) })
	})
	got := heardAll()
	for topic, text := range map[string]string{
		"$aws/events/job/fw/cancellation_in_progress": `"comment":"wrong valves"`,
		"$aws/events/job/fw/deleted":                  `"description":"valves"`,
		"$aws/events/jobExecution/fw/canceled":        `"thingArn":"arn:aws:iot:us-east-1:123456789012:thing/lamp"`,
		"$aws/events/thingGroup/hall/created":         `"rootToParentThingGroups":[{"groupArn":"arn:aws:iot:us-east-1:123456789012:thinggroup/plant"`,
		"$aws/events/thingGroup/hall/deleted":         `"parentGroupName":"plant"`,
	} {
		if !strings.Contains(got[topic], text) {
			t.Errorf("%s: %s", topic, got[topic])
		}
	}
}
