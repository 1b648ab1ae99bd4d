package scenario

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/droverhq/drover/proto/id"
)

// readJSON reads a message as the bus takes it, in protobuf's JSON, and lets people write three things as they speak:
// a value of an enum without its prefix ("CONTINUOUS"), a target as everywhere else ("group/lamps"), and bytes as the
// JSON that they hold (a document).
func readJSON(text string, into proto.Message) error {
	if strings.TrimSpace(text) == "" {
		text = "{}"
	}
	var fields map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil {
		return err
	}
	if err := spell(into.ProtoReflect().Descriptor(), fields); err != nil {
		return err
	}
	data, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	return protojson.Unmarshal(data, into)
}

// spell makes protobuf's JSON of what people write, within one message.
func spell(of protoreflect.MessageDescriptor, fields map[string]any) error {
	for name, value := range fields {
		f := of.Fields().ByJSONName(name)
		if f == nil {
			f = of.Fields().ByTextName(name)
		}
		if f == nil {
			return fmt.Errorf("%s has no field %q", of.Name(), name)
		}
		list, many := value.([]any)
		if !many {
			list = []any{value}
		}
		for i := range list {
			one, err := spellOne(f, list[i])
			if err != nil {
				return err
			}
			list[i] = one
		}
		if !many {
			fields[name] = list[0]
		}
	}
	return nil
}

func spellOne(f protoreflect.FieldDescriptor, value any) (any, error) {
	text, isText := value.(string)
	switch {
	case f.Kind() == protoreflect.BytesKind && isText:
		return base64.StdEncoding.EncodeToString([]byte(text)), nil
	case f.Kind() == protoreflect.BytesKind:
		data, err := json.Marshal(value)
		return base64.StdEncoding.EncodeToString(data), err
	case f.Kind() == protoreflect.EnumKind && isText:
		prefix, _ := strings.CutSuffix(string(f.Enum().Values().Get(0).Name()), "UNSPECIFIED")
		return prefix + strings.TrimPrefix(text, prefix), nil
	case f.Kind() != protoreflect.MessageKind:
		return value, nil
	case f.Message().Name() == "Target" && isText:
		t, err := id.ParseTarget(text)
		if err != nil {
			return nil, err
		}
		if t.GetGroup() != "" {
			return map[string]any{"group": t.GetGroup()}, nil
		}
		return map[string]any{"thing": t.GetThing()}, nil
	}
	fields, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s is no object", f.Name())
	}
	return fields, spell(f.Message(), fields)
}
