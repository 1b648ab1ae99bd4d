package aws

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

// What is set for an account: events, indexing, addresses. (specification §2.10)
func settingOperations() []*operation {
	return []*operation{
		op("DescribeEventConfigurations", http.MethodGet, "/event-configurations", describeEvents).fails(),
		op("UpdateEventConfigurations", http.MethodPatch, "/event-configurations", updateEvents).fails(),
		op("DescribeEndpoint", http.MethodGet, "/endpoint", describeEndpoint, "endpointType").fails(),
		op("GetIndexingConfiguration", http.MethodGet, "/indexing/config", getIndexing).fails(),
	}
}

func describeEvents(c *call) (any, error) {
	reply, err := ask(c, bus.DescribeEventConfigurations, &v1.DescribeEventConfigurations{Freshness: fresh})
	if err != nil {
		return nil, err
	}
	type configuration struct {
		Enabled bool
	}
	all := map[string]configuration{}
	for _, e := range reply.GetConfigurations() {
		all[v1.EnumName(e.GetCategory())] = configuration{e.GetEnabled()}
	}
	return struct {
		Configurations map[string]configuration `json:"eventConfigurations"`
		Modified       moment                   `json:"lastModifiedDate,omitzero"`
	}{all, moment(reply.GetLastModifiedMs())}, nil
}

func updateEvents(c *call) (any, error) {
	q, err := body.ConfigureEvents(c.body)
	if err == nil {
		_, err = tell(c, bus.ConfigureEvents, q)
	}
	return nil, err
}

// endpointTypes are AWS's. The first is what is meant where a request names none.
var endpointTypes = []string{"iot:Data", "iot:Data-ATS", "iot:Jobs", "iot:CredentialProvider"}

func describeEndpoint(c *call) (any, error) {
	kind := cmp.Or(c.query.Get("endpointType"), endpointTypes[0])
	if !slices.Contains(endpointTypes, kind) {
		return nil, invalid("endpointType: %.40q is none of %s", kind, strings.Join(endpointTypes, ", "))
	}
	address := ""
	if c.front.Endpoint != nil {
		address = c.front.Endpoint(c.r, kind)
	}
	if address == "" {
		return nil, invalid("endpointType: there is no endpoint %s here", kind)
	}
	return struct {
		Address string `json:"endpointAddress"`
	}{address}, nil
}

// getIndexing says what is true: there is no index, for nothing here queries one.
func getIndexing(*call) (any, error) {
	var answer struct {
		Things struct {
			Mode string `json:"thingIndexingMode"`
		} `json:"thingIndexingConfiguration"`
		Groups struct {
			Mode string `json:"thingGroupIndexingMode"`
		} `json:"thingGroupIndexingConfiguration"`
	}
	answer.Things.Mode, answer.Groups.Mode = "OFF", "OFF"
	return answer, nil
}
