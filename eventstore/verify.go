package eventstore

import "context"

// Report is what a whole log holds.
type Report struct {
	First, Last uint64 // numbers; Last is First-1 in an empty log
	Commits     uint64
	Entries     uint64
	Bytes       uint64 // stored, without the medium's own
	Foreign     []Mark // messages that are no commits, and that a commit names
	Head        Mark   // the last message
}

// progressEvery is after how many messages Verify tells how far it is.
const progressEvery = 1000

// Verify reads all of a log. On *DamageError and *ForeignError the report covers what stands in front of it. Progress
// may be nil; it is called now and then, and at the end.
func (l *Log) Verify(ctx context.Context, progress func(done, last uint64)) (Report, error) {
	return l.verify(ctx, decodeWhole, progress)
}

// VerifyChain is Verify without a look into entries, and several times as fast: every message is there as it was
// written. It is enough before a start, where whoever folds the entries decodes them.
func (l *Log) VerifyChain(ctx context.Context, progress func(done, last uint64)) (Report, error) {
	return l.verify(ctx, decodeTallies, progress)
}

func (l *Log) verify(ctx context.Context, d decoder, progress func(done, last uint64)) (Report, error) {
	first, last, err := l.Bounds(ctx)
	r := Report{First: first, Last: first - 1}
	if err != nil {
		return r, err
	}
	c, err := l.chainAfter(ctx, Mark{}, d)
	if err != nil {
		return r, err
	}
	c.pass = func(m Mark) { r.Foreign = append(r.Foreign, m) }
	err = c.readTo(ctx, last, func(commit *Commit) error {
		r.Commits++
		r.Entries += uint64(commit.EntryCount)
		r.Bytes += uint64(commit.Size)
		if progress != nil && commit.Number%progressEvery == 0 {
			progress(commit.Number, last)
		}
		return nil
	})
	r.Last, r.Head = c.at.Number, c.at
	if progress != nil {
		progress(c.at.Number, last)
	}
	return r, err
}
