package aws

import (
	"bytes"
	"net/http/httptest"
	"net/url"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/services/bus"
)

// grants answers an operation of the bus with a reply that says nothing.
func grants[Q, R proto.Message](o bus.Op[Q, R]) service {
	return answers(o, func(Q) (R, error) {
		var none R
		return none.ProtoReflect().New().Interface().(R), nil
	})
}

// granting grants every operation that a front asks for.
var granting = []service{
	grants(bus.CreateJob), grants(bus.CancelJob), grants(bus.UpdateJob), grants(bus.AssociateTargets), grants(bus.DeleteJob),
	grants(bus.CreateTemplate), grants(bus.DeleteTemplate), grants(bus.TagJobs), grants(bus.UntagJobs), grants(bus.ConfigureEvents),
	grants(bus.CreateThings), grants(bus.DeleteThing), grants(bus.UpdateThing), grants(bus.CreateGroup), grants(bus.UpdateGroup), grants(bus.DeleteGroup),
	grants(bus.AddThings), grants(bus.RemoveThings), grants(bus.ChangeGroupsOfThing), grants(bus.CreateThingType), grants(bus.DeprecateThingType),
	grants(bus.DeleteThingType), grants(bus.TagRegistry), grants(bus.UntagRegistry), grants(bus.CancelExecution), grants(bus.DeleteExecution),
	grants(bus.ListJobs), grants(bus.DescribeJob), grants(bus.ListExecutionsForJob), grants(bus.ListExecutionsForThing), grants(bus.GetExecution),
	grants(bus.ListThings), grants(bus.DescribeThing), grants(bus.ListGroups), grants(bus.DescribeGroup), grants(bus.ListThingsInGroup),
	grants(bus.ListTemplates), grants(bus.DescribeTemplate), grants(bus.ListManagedTemplates), grants(bus.DescribeManagedTemplate), grants(bus.ListJobTags),
	grants(bus.DescribeEventConfigurations), grants(bus.ListThingTypes), grants(bus.DescribeThingType), grants(bus.ListRegistryTags),
}

// Whatever a client sends, it is granted or it is the client's fault.
func FuzzRequest(f *testing.F) {
	bodies := []string{
		"", "{}", `null`, `{"targets":["thing/t"],"document":"{}",` + configuredJSON + `}`, `{"description":"d","document":"{}"}`,
		`{"expectedVersion":"4","statusDetails":{"a":1e9}}`, `{"reasonCode":"R","comment":"` + "\u00ff" + `"}`, "{\"comment\":\"\xff\"}",
		`{"thingGroupProperties":{"thingGroupDescription":"d"}}`, `{"resourceArn":"job/j","tags":[{"Key":"k"}],"tagKeys":["k"]}`,
	}
	for i := range operations() {
		for _, text := range bodies {
			f.Add(uint8(i), "a", "1", "", []byte(text))
		}
		f.Add(uint8(i), "$next", "\xff", "status=QUEUED&nextToken=%ff&maxResults=250", []byte(nil))
		f.Add(uint8(i), "a/b", "-1", "namespaceId=%ff&thingGroupId=x&thingGroupName=%00", []byte("{}"))
		f.Add(uint8(i), "arn:aws:iot:r:1:job/j", "9999999999999999999", "force=true&executionNumber=1&templateVersion=%ff", []byte("[]"))
	}
	s := newSystem(f)
	b, err := bus.NewServer(s.nc, "test", "0.0.0")
	if err != nil {
		f.Fatal(err)
	}
	for _, serve := range granting {
		serve(f, s, b)
	}
	if err := s.nc.Flush(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, n uint8, one, two, query string, text []byte) {
		o := s.front.routes[int(n)%len(s.front.routes)]
		path, values := "", []string{one, two, one}
		for _, segment := range o.path {
			if segment[0] == '{' {
				segment, values = url.PathEscape(values[0]), values[1:]
			}
			path += "/" + segment
		}
		r := httptest.NewRequest(o.method, "http://localhost/", bytes.NewReader(text))
		r.URL.RawPath, r.URL.RawQuery = path, query
		r.URL.Path, _ = url.PathUnescape(path)
		w := httptest.NewRecorder()
		s.front.ServeHTTP(w, r)
		if w.Code != 200 && (w.Code < 400 || w.Code >= 500 || w.Header().Get(errorHeader) == "") {
			t.Errorf("%s %s?%s %q: %d %s %s", o.method, path, query, text, w.Code, w.Header().Get(errorHeader), w.Body)
		}
		s.mu.Lock()
		s.seen = nil
		s.mu.Unlock()
	})
}
