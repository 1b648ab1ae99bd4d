package aws

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

// call is one request that was let in, as its operation sees it.
type call struct {
	context.Context
	front     *Front
	r         *http.Request
	op        *operation
	vars      map[string]string // of the path
	query     url.Values
	body      []byte
	region    string // that was signed for
	commandID string // empty: the command has none
}

// fresh: a read sees what was written before it. (design §5)
var fresh = &v1.Freshness{Fresh: true}

// ask sends a query. An answer that is older than was asked for is none: who asks again finds the models further on.
func ask[Q, R proto.Message](c *call, o bus.Op[Q, R], q Q) (R, error) {
	reply, err := o.Call(c, c.front.Client, q)
	if s, ok := any(reply).(interface{ GetStamp() *v1.Stamp }); ok && err == nil && s.GetStamp().GetBehind() {
		err = v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "the answer would be older than the request; ask again")
	}
	return reply, err
}

// tell sends a command, as the one that this request is.
func tell[Q, R proto.Message](c *call, o bus.Op[Q, R], q Q) (R, error) {
	if c.commandID == "" {
		return o.Call(c, c.front.Client, q)
	}
	return o.Call(c, c.front.Client, q, bus.WithCommandID(c.commandID))
}

// readQuery reads the parameters behind the question mark: each once, and none that the operation does not take.
func (c *call) readQuery() (err error) {
	if c.query, err = url.ParseQuery(c.r.URL.RawQuery); err != nil {
		return invalid("the query string cannot be read")
	}
	if slices.Equal(c.op.query, []string{anyQuery}) {
		return nil
	}
	for name, values := range c.query {
		if !slices.Contains(c.op.query, name) {
			return invalid("%.60s is no parameter of %s", name, c.op.name)
		}
		if len(values) > 1 {
			return invalid("%s stands there twice", name)
		}
	}
	return nil
}

// flag reads a parameter that is true or false; absent is false.
func (c *call) flag(name string) (bool, error) {
	switch v := c.query.Get(name); v {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, invalid("%s: true or false is expected, not %.40q", name, v)
	}
}

// number reads a parameter that is a whole number above 0; absent is 0.
func (c *call) number(name string) (uint64, error) {
	v := c.query.Get(name)
	if v == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(v, 10, 63)
	if err != nil || n == 0 {
		return 0, invalid("%s: a whole number above 0 is expected, not %.40q", name, v)
	}
	return n, nil
}

// pageParameters are those of every list.
const (
	maxResults = "maxResults"
	nextToken  = "nextToken"
	// pageMax is AWS's largest page, and ours unless a request wants a smaller one. (specification §1.3)
	pageMax = 250
)

// page reads which part of a list is asked for.
func (c *call) page() (*v1.Page, error) {
	n := uint64(pageMax)
	if v := c.query.Get(maxResults); v != "" {
		var err error
		if n, err = strconv.ParseUint(v, 10, 32); err != nil || n < 1 || n > pageMax {
			return nil, invalid("maxResults: 1 to %d is allowed, not %.40q", pageMax, v)
		}
	}
	return &v1.Page{Limit: uint32(n), Token: c.query.Get(nextToken)}, nil
}

// word reads a parameter that is one of an enum's, into its place; absent leaves it.
func word[E interface {
	~int32
	protoreflect.Enum
}](c *call, name string, place *E) error {
	n, err := body.Enum(name, c.query.Get(name), *place)
	*place = E(n)
	return err
}

// The names in the path, each checked.

func (c *call) job() (string, error) { return checked("jobId", c.vars["jobId"], id.ParseJob) }

func (c *call) thing() (string, error) {
	return checked("thingName", c.vars["thingName"], id.ParseThing)
}

func (c *call) group() (string, error) {
	return checked("thingGroupName", c.vars["thingGroupName"], id.ParseGroup)
}

func checked[N ~string](field, s string, parse func(string) (N, error)) (string, error) {
	n, err := parse(s)
	if err != nil {
		return "", invalid("%s: %v", field, err)
	}
	return string(n), nil
}

// arn names a resource in the region that the request was signed for. (specification §1.2)
func (c *call) arn(kind, name string) string {
	return "arn:aws:iot:" + c.region + ":" + c.front.Account + ":" + kind + "/" + name
}

func (c *call) targetARN(t *v1.Target) string {
	if t.GetGroup() != "" {
		return c.arn("thinggroup", t.GetGroup())
	}
	return c.arn("thing", t.GetThing())
}
