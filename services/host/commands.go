package host

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

const (
	// commandsMs is how long the outcome of a command with an id is kept, by the times of the commits. (design §5)
	commandsMs = 24 * 60 * 60 * 1000
	// expireMax is how many outcomes one commit forgets at most, beside two for each that it records: so that there
	// are not more and more of them.
	expireMax   = 16
	commandMax  = 64
	expiryNever = int64(1<<63 - 1)
)

func commandKey(cid string) []byte { return append([]byte{table, rowCommand}, cid...) }

func expiryKey(atMs int64, cid string) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{table, rowExpiry}, uint64(atMs)), cid...)
}

// recorded is the outcome of an accepted command.
type recorded struct {
	atMs  int64
	name  string // of the command's message
	reply []byte
}

func (r recorded) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(r.atMs))
	return append(kv.Key(b).String(r.name), r.reply...)
}

func parseRecorded(b []byte) recorded {
	at, rest := kv.CutUint(b)
	name, reply := kv.CutString(rest)
	return recorded{int64(at), name, reply}
}

// commandName names a command in its outcome; its reply is the message of that name and "Reply".
func commandName(cmd proto.Message) string { return string(cmd.ProtoReflect().Descriptor().Name()) }

func checkCommandID(cid string) error {
	if len(cid) > commandMax {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "command id", "it has %d characters; 1 to %d printable ones are allowed", len(cid), commandMax)
	}
	for i := range len(cid) {
		if cid[i] < ' ' || cid[i] > '~' {
			return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "command id", "it holds the byte %#x; 1 to %d printable ASCII characters are allowed", cid[i], commandMax)
		}
	}
	return nil
}

// outcome finds what a command with this id was answered, if it was accepted within 24 h of now.
func outcome(state kv.Reader, cid string, cmd proto.Message, now int64) (reply proto.Message, known bool, err error) {
	row, ok := state.Get(commandKey(cid))
	if !ok {
		return nil, false, nil
	}
	r := parseRecorded(row)
	if r.atMs+commandsMs <= now {
		return nil, false, nil
	}
	if name := commandName(cmd); r.name != name {
		return nil, true, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "command id", "%q was that of a %s, this is a %s; draw another", cid, r.name, name)
	}
	reply, err = decodeReply(cmd, r.reply)
	return reply, true, err
}

func decodeReply(cmd proto.Message, data []byte) (proto.Message, error) {
	name := cmd.ProtoReflect().Descriptor().FullName() + "Reply"
	t, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name))
	if err != nil {
		return nil, fmt.Errorf("recorded outcome: %w", err)
	}
	reply := t.New().Interface()
	if err := proto.Unmarshal(data, reply); err != nil {
		return nil, fmt.Errorf("recorded outcome: %s: %w", name, err)
	}
	return reply, nil
}

// foldCommand keeps an outcome that a commit records.
func foldCommand(tx kv.Tx, c *v1.CommandCause, atMs int64) {
	if c.GetType() == "" {
		return
	}
	key := commandKey(c.Id)
	if old, ok := tx.Get(key); ok {
		// An outcome older than 24 h whose id is used again before it was forgotten.
		tx.Delete(expiryKey(parseRecorded(old).atMs, c.Id))
	}
	tx.Set(key, recorded{atMs, c.Type, c.Reply}.append(nil))
	tx.Set(expiryKey(atMs, c.Id), []byte{})
}

// expireCommands forgets some outcomes that are older than 24 h, and says when to look again. It depends on the
// state and the commit alone, so that every fold forgets the same.
func expireCommands(tx kv.Tx, c *v1.Commit) (next int64) {
	atMs, most := c.AtMs, expireMax
	for _, e := range c.Entries {
		if e.GetCommand().GetType() != "" {
			most += 2
		}
	}
	from := []byte{table, rowExpiry}
	var dead []string
	next = expiryNever
	for k := range tx.Scan(from, kv.PrefixEnd(from)) {
		at, _ := kv.CutUint(k[2:])
		if next = int64(at) + commandsMs; next > atMs || len(dead) == most {
			break
		}
		next = expiryNever
		dead = append(dead, string(k))
	}
	for _, k := range dead {
		tx.Delete([]byte(k))
		tx.Delete(commandKey(k[10:]))
	}
	return next
}
