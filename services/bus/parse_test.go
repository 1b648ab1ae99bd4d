package bus

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// FuzzRequest: a request is refused as one, or comes back the same.
func FuzzRequest(f *testing.F) {
	for _, c := range []proto.Message{&v1.CreateJob{JobId: "j", Document: []byte("{}")}, &v1.UpdateExecution{Thing: "t"}, &v1.CreateThings{Things: []*v1.NewThing{{Name: "t"}}}} {
		data, _ := proto.Marshal(c)
		text, _ := protojson.Marshal(c)
		f.Add(data, false)
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, json bool) {
		c, err := parse[*v1.CreateJob](data, json)
		if err != nil {
			var refusal *v1.Refusal
			if !errors.As(err, &refusal) || refusal.Code != v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := proto.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if c2, err := parse[*v1.CreateJob](again, false); err != nil || !proto.Equal(c, c2) {
			t.Errorf("%v came back as %v, %v", c, c2, err)
		}
	})
}
