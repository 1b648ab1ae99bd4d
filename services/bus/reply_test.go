package bus_test

import (
	"context"
	"strings"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func TestAReplyThatTheBrokerDoesNotTakeIsSaidAtOnce(t *testing.T) {
	s := start(t)
	must(t, bus.Serve(s.server, bus.ListThings, func(context.Context, bus.Request, *v1.ListThings) (*v1.ListThingsReply, error) {
		return &v1.ListThingsReply{NextToken: strings.Repeat("x", 2<<20)}, nil
	}))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := bus.ListThings.Call(ctx, s.client, &v1.ListThings{})
	if code(err) != v1.RefusalCode_REFUSAL_CODE_INTERNAL || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("%v", err)
	}
}

func TestAPanicOfOneRequestIsRefusedAndTheNextIsAnswered(t *testing.T) {
	s := start(t)
	must(t, bus.Serve(s.server, bus.ListThings, func(_ context.Context, _ bus.Request, q *v1.ListThings) (*v1.ListThingsReply, error) {
		if q.Prefix == "panic" {
			panic("as asked")
		}
		return &v1.ListThingsReply{NextToken: "next"}, nil
	}))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := bus.ListThings.Call(ctx, s.client, &v1.ListThings{Prefix: "panic"}); code(err) != v1.RefusalCode_REFUSAL_CODE_INTERNAL || strings.Contains(err.Error(), "as asked") {
		t.Errorf("%v", err)
	}
	if r, err := bus.ListThings.Call(ctx, s.client, &v1.ListThings{}); err != nil || r.NextToken != "next" {
		t.Errorf("%v %v", r, err)
	}
}
