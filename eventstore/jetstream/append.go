package jetstream

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/droverhq/drover/eventstore"
)

// The codes by which JetStream refuses to store. All of them are decided before anything is stored.
const (
	// Both mean "not at that place": another message is there, or is on its way there.
	wrongLastSequence         js.ErrorCode = 10071
	wrongLastSequenceInFlight js.ErrorCode = 10164

	// Each means that some limit is reached: the account's, the server's, the disk's.
	accountResourcesExceeded js.ErrorCode = 10002
	insufficientResources    js.ErrorCode = 10023
	storageExceeded          js.ErrorCode = 10047
	// The stream's own limit comes with a text; with another one it is something else.
	storeFailed js.ErrorCode = 10077
)

// Append implements eventstore.Backend: one publish, which stores data at number or nowhere. It is sent once: a
// repeat made behind our back would answer that our own message stands in the way.
func (b *Backend) Append(ctx context.Context, number uint64, data []byte) error {
	if number == 0 {
		return eventstore.ErrConflict
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	msg := &nats.Msg{Subject: b.subject, Data: data, Header: nats.Header{
		js.ExpectedLastSeqHeader: {strconv.FormatUint(number-1, 10)},
	}}
	answer, err := b.nc.RequestMsgWithContext(ctx, msg)
	if err != nil {
		return fmt.Errorf("stream %s: %w", b.stream, err)
	}
	return b.acked(number, answer.Data)
}

// acked translates the answer to an append.
func (b *Backend) acked(number uint64, answer []byte) error {
	var ack struct {
		Stream string       `json:"stream"`
		Seq    uint64       `json:"seq"`
		Error  *js.APIError `json:"error"`
	}
	if err := json.Unmarshal(answer, &ack); err != nil {
		return fmt.Errorf("stream %s: answer to an append: %w", b.stream, err)
	}
	if ack.Error == nil {
		if ack.Stream != b.stream || ack.Seq != number {
			return fmt.Errorf("stream %s: appended at %d, answered by stream %.40q at %d: another stream takes the subject %s", b.stream, number, ack.Stream, ack.Seq, b.subject)
		}
		return nil
	}
	switch ack.Error.ErrorCode {
	case wrongLastSequence, wrongLastSequenceInFlight:
		return fmt.Errorf("%w (%s)", eventstore.ErrConflict, ack.Error.Description)
	case accountResourcesExceeded, insufficientResources, storageExceeded:
		return fmt.Errorf("%w (%s)", eventstore.ErrFull, ack.Error.Description)
	case storeFailed:
		if strings.Contains(ack.Error.Description, "maximum bytes exceeded") {
			return fmt.Errorf("%w (%s)", eventstore.ErrFull, ack.Error.Description)
		}
	}
	return fmt.Errorf("stream %s: %w", b.stream, ack.Error)
}
