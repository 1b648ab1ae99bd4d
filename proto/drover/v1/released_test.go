package droverv1_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

var release = flag.Bool("release", false, "write the bytes of event types that have none yet")

// Events are for ever: the bytes of every event that was ever released stand in testdata, and must decode to what they
// were. A file is never changed; a new type of event gets one with -release.
func TestReleasedEventsAreReadForEver(t *testing.T) {
	types := (&v1.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("event").Fields()
	for i := range types.Len() {
		field := types.Get(i)
		t.Run(string(field.Message().Name()), func(t *testing.T) {
			want := &v1.Commit{
				LogId: []byte("0123456789abcdef"), Number: 7, PreviousHash: bytes.Repeat([]byte{1}, 32), Owner: "o", Epoch: 2, AtMs: 3,
				Cursors:     []*v1.Cursor{{Service: v1.Service_SERVICE_ROLLOUT, Home: 1, Number: 4, EntriesDone: 2, Hash: 5}},
				EffectsDone: 6, ReaderVersion: 1,
				Tallies: []*v1.Tally{{Job: 1, Attempts: []*v1.StatusCount{{Status: 1, Count: -1}}, Open: 1, Good: -2, Harmed: 3, Void: -4, Refused: 5, Settled: 1}},
				Entries: []*v1.Entry{{
					Cause:  &v1.Entry_Command{Command: &v1.CommandCause{Id: "c", By: "b", Reply: []byte("r"), Type: "t"}},
					Reason: &v1.Reason{Code: 2, Numbers: []int64{1, -1}}, Event: &v1.Event{},
				}},
			}
			event := want.Entries[0].Event.ProtoReflect()
			fill(event.Mutable(field).Message(), 1)
			path := filepath.Join("testdata", "events", string(field.Message().Name())+".hex")
			text, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) && *release {
				data, merr := want.MarshalVT()
				if merr != nil {
					t.Fatal(merr)
				}
				text = []byte(hex.EncodeToString(data) + "\n")
				err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, text, 0o644))
			}
			if err != nil {
				t.Fatalf("%v; go test ./proto/drover/v1 -release writes it", err)
			}
			data, err := hex.DecodeString(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			got := new(v1.Commit)
			if err := got.UnmarshalVT(data); err != nil {
				t.Fatal(err)
			}
			// A field that was added since is not in old bytes, so nothing is demanded of it here.
			if !holds(want.ProtoReflect(), got.ProtoReflect()) {
				t.Fatalf("released bytes read as\n%v\nnot as\n%v", got, want)
			}
			again, err := got.MarshalVT()
			if err != nil || !bytes.Equal(again, data) {
				t.Fatalf("read and written again they are %x, not %x (%v)", again, data, err)
			}
			viaReflection := new(v1.Commit)
			if err := proto.Unmarshal(data, viaReflection); err != nil || !proto.Equal(viaReflection, got) {
				t.Fatalf("the two decoders differ: %v and %v (%v)", viaReflection, got, err)
			}
		})
	}
}

// fill gives every field of a message a value that follows from its number.
func fill(m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.ContainingOneof() != nil && m.WhichOneof(f.ContainingOneof()) != nil || depth > 4 {
			continue
		}
		if f.IsList() {
			list := m.Mutable(f).List()
			if f.Kind() == protoreflect.MessageKind {
				fill(list.AppendMutable().Message(), depth+1)
			} else {
				list.Append(value(f))
			}
			continue
		}
		if f.Kind() == protoreflect.MessageKind {
			fill(m.Mutable(f).Message(), depth+1)
			continue
		}
		m.Set(f, value(f))
	}
}

func value(f protoreflect.FieldDescriptor) protoreflect.Value {
	n := uint64(f.Number())
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(string(f.Name()))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(f.Name()))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(n))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind:
		return protoreflect.ValueOfInt64(int64(n))
	default:
		return protoreflect.ValueOfUint64(n)
	}
}

// holds reports whether every field of got is as in want: want may have more.
func holds(want, got protoreflect.Message) bool {
	same := true
	got.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		w := want.Get(f)
		switch {
		case f.IsList() && f.Kind() == protoreflect.MessageKind:
			same = v.List().Len() == w.List().Len()
			for i := 0; same && i < v.List().Len(); i++ {
				same = holds(w.List().Get(i).Message(), v.List().Get(i).Message())
			}
		case f.Kind() == protoreflect.MessageKind && !f.IsList():
			same = want.Has(f) && holds(w.Message(), v.Message())
		default:
			same = v.Equal(w)
		}
		return same
	})
	return same && len(got.GetUnknown()) == 0
}
