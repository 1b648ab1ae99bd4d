package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

// The bounds of a chunk: within those of one command (1,000 things, 32 KiB), so that it is one event slice.
const (
	chunkItems    = 500
	chunkBytes    = 30 << 10
	chunksAtOnce  = 4
	chunkAttempts = 10
)

// inChunks hands what a source yields to send, a few chunks at once, and shows how far it is. It stops at the first
// error, which may leave chunks before and beside it done.
func inChunks[T any](ctx context.Context, a *app, verb string, items source[T], size func(T) int, send func(context.Context, []T) error) error {
	p := a.startProgress(verb)
	defer p.stop()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(chunksAtOnce)
	flush := func(chunk []T) {
		// Connected here, before several need it; and not before there is something sound to send.
		if _, err := a.dial(); err != nil {
			g.Go(func() error { return err })
			return
		}
		if len(chunk) > 0 {
			g.Go(func() error {
				err := send(ctx, chunk)
				if err == nil {
					p.add(len(chunk))
				}
				return err
			})
		}
	}
	var chunk []T
	var read error
	for bytes := 0; ctx.Err() == nil; {
		item, err := items()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				read = err
			}
			break
		}
		n := size(item)
		if len(chunk) == chunkItems || bytes+n > chunkBytes {
			flush(chunk)
			chunk, bytes = nil, 0
		}
		chunk, bytes = append(chunk, item), bytes+n
	}
	if read == nil {
		flush(chunk)
	}
	return errors.Join(read, g.Wait())
}

// tellChunk sends a command with an id of its own, and again with the same id while it is unavailable or its outcome
// unknown: an accepted one is not done twice.
func tellChunk[Q, R proto.Message](ctx context.Context, a *app, op bus.Op[Q, R], q Q) (R, error) {
	commandID := bus.WithCommandID(rand.Text())
	for attempt := 1; ; attempt++ {
		reply, err := call(ctx, a, op, q, commandID)
		status := exitStatus(err)
		if err == nil || attempt == chunkAttempts || status != exitUnavailable && status != exitUnknown {
			return reply, err
		}
		select {
		case <-ctx.Done():
			return reply, err
		case <-time.After(time.Duration(attempt) * 100 * time.Millisecond):
		}
	}
}

// lastPosition is the highest position of those it saw, all of one log.
type lastPosition struct {
	mu sync.Mutex
	p  *v1.Position
}

func (l *lastPosition) saw(p *v1.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.GetNumber() > l.p.GetNumber() || p.GetNumber() == l.p.GetNumber() && p.GetEntry() >= l.p.GetEntry() {
		l.p = p
	}
}

func (l *lastPosition) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.p == nil {
		return ""
	}
	return id.FormatPosition(l.p)
}

// open opens a file to read; - is stdin.
func (a *app) open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(a.in), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, usagef("%v", err)
	}
	return f, nil
}
