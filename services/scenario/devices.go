package scenario

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

const topicPrefix = "$aws/things/"

// topicParts are the thing of a topic and what stands behind its "jobs/".
func topicParts(topic string) (thing, op string) {
	thing, op, _ = strings.Cut(strings.TrimPrefix(topic, topicPrefix), "/jobs/")
	return thing, op
}

// device publishes as one: "lamp-1 fw-1/update {…}".
func (p *player) device(rest string) error {
	thing, rest, _ := strings.Cut(rest, " ")
	op, payload, _ := strings.Cut(strings.TrimSpace(rest), " ")
	topic, data, err := p.publish(thing, op, payload)
	if err != nil {
		return err
	}
	if topic == "" {
		p.print("<", "nobody answers")
		return nil
	}
	_, op = topicParts(topic)
	p.print("<", "%s %s %s", thing, op, data)
	return nil
}

// devices publishes as several: "lamp-000..019 fw-1/update {…}".
func (p *player) devices(rest string) error {
	row, rest, _ := strings.Cut(rest, " ")
	_, names, err := span("- " + row)
	if err != nil {
		return err
	}
	op, payload, _ := strings.Cut(strings.TrimSpace(rest), " ")
	answers := map[string]int{}
	for _, thing := range names {
		topic, data, err := p.publish(thing, op, payload)
		if err != nil {
			return err
		}
		_, kind := topicParts(topic)
		var said struct{ Code string }
		if err := json.Unmarshal(data, &said); topic != "" && err != nil {
			return fmt.Errorf("%s is answered with %q: %w", thing, data, err)
		}
		switch {
		case topic == "":
			kind = "nobody answers"
		case said.Code != "":
			kind += " " + said.Code
		}
		answers[kind]++
	}
	for _, kind := range slices.Sorted(maps.Keys(answers)) {
		p.print("<", "%d x %s", answers[kind], kind)
	}
	return nil
}

// http asks as a device: "POST /things/lamp-1/jobs/fw-1 {…}".
func (p *player) http(rest string) error {
	method, rest, _ := strings.Cut(rest, " ")
	target, body, _ := strings.Cut(strings.TrimSpace(rest), " ")
	a, err := p.s.HTTP(method, target, []byte(body))
	if err != nil {
		return err
	}
	if a.ErrorType != "" {
		a.ErrorType += " "
	}
	p.print("<", "%d %s%s", a.Status, a.ErrorType, a.Body)
	return nil
}

func (p *player) publish(thing, op, payload string) (topic string, data []byte, err error) {
	before, to, asks := p.reporting(thing, op, payload)
	topic, data, err = p.s.Device(topicPrefix+thing+"/jobs/"+op, []byte(payload), thing)
	if !asks || !strings.HasSuffix(topic, "/rejected") || strings.Contains(string(data), `"VersionMismatch"`) {
		return topic, data, err
	}
	if strings.Contains(string(data), `"ResourceNotFound"`) {
		before = "none" // hidden, or being deleted: for the device it is not there
	}
	p.reach.Cells[Cell{before, to.Word(), "device", true}] = true
	return topic, data, err
}

// reporting says which transition of the latest attempt an update asks for.
func (p *player) reporting(thing, op, payload string) (from string, to v1.ExecutionStatus, asks bool) {
	jobID, kind, _ := strings.Cut(op, "/")
	var body struct {
		Status          string
		ExecutionNumber uint64
	}
	if kind != "update" || json.Unmarshal([]byte(payload), &body) != nil || body.ExecutionNumber != 0 {
		return "", 0, false
	}
	to = v1.ExecutionStatus(v1.ExecutionStatus_value["EXECUTION_STATUS_"+body.Status])
	return p.reach.status(jobID, thing), to, to != 0
}
