package eventstore_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

func commitOf(log id.Log, number uint64, cursors ...*v1.Cursor) *eventstore.Commit {
	return &eventstore.Commit{Commit: &v1.Commit{Number: number, Cursors: cursors}, Log: log}
}

func cursorOn(log id.Log, number uint64) *v1.Cursor {
	return &v1.Cursor{Service: log.Service, Home: uint32(log.Home), Number: number}
}

func TestACommitWaitsForItsCause(t *testing.T) {
	c := eventstore.NewCausal([]id.Log{id.JobLog, id.RolloutLog})
	c.Add(commitOf(id.JobLog, 1, cursorOn(id.RolloutLog, 2)))
	c.Add(commitOf(id.RolloutLog, 1))
	if got := c.Next(); got == nil || got.Log != id.RolloutLog {
		t.Fatalf("got %v, want rollout@1", got)
	}
	if got := c.Next(); got != nil {
		t.Fatalf("got %s@%d before its cause", got.Log, got.Number)
	}
	want := eventstore.Wait{Log: id.JobLog, Number: 1, On: id.RolloutLog, OnNumber: 2}
	if waits := c.Blocked(); !slices.Equal(waits, []eventstore.Wait{want}) || waits[0].String() != "job@1 waits for rollout@2" {
		t.Fatalf("blocked: %v, want %v", waits, want)
	}
	c.Add(commitOf(id.RolloutLog, 2))
	for _, log := range []id.Log{id.RolloutLog, id.JobLog} {
		if got := c.Next(); got == nil || got.Log != log {
			t.Fatalf("got %v, want one of %s", got, log)
		}
	}
	if c.Next() != nil || len(c.Blocked()) != 0 {
		t.Fatal("something is left")
	}
}

func TestWhatWasSeenElsewhereCounts(t *testing.T) {
	c := eventstore.NewCausal([]id.Log{id.JobLog, id.RolloutLog})
	c.Seen(id.RolloutLog, 10)
	c.Seen(id.JobLog, 4)
	c.Add(commitOf(id.JobLog, 4)) // again: ignored
	c.Add(commitOf(id.JobLog, 5, cursorOn(id.RolloutLog, 10)))
	c.Add(commitOf(id.JobLog, 5, cursorOn(id.RolloutLog, 10)))
	if got := c.Next(); got == nil || got.Number != 5 || c.At(id.JobLog) != 5 {
		t.Fatalf("got %v, want job@5", got)
	}
	if got := c.Next(); got != nil {
		t.Fatalf("got %s@%d again", got.Log, got.Number)
	}
	c.Add(commitOf(id.JobLog, 6, cursorOn(id.RolloutLog, 12)))
	c.Seen(id.RolloutLog, 12)
	if got := c.Next(); got == nil || got.Number != 6 {
		t.Fatalf("got %v, want job@6", got)
	}
	c.Add(commitOf(id.JobLog, 7))
	c.Seen(id.JobLog, 8)
	if got := c.Next(); got != nil || c.Buffered(id.JobLog) != 0 {
		t.Fatalf("got %v, which was seen", got)
	}
}

func TestCursorsOnLogsThatNobodyReadsAreIgnored(t *testing.T) {
	c := eventstore.NewCausal([]id.Log{id.JobLog})
	c.Add(commitOf(id.JobLog, 1, cursorOn(id.ExecutionLog(3), 99)))
	if c.Next() == nil {
		t.Fatal("it waits")
	}
}

// history makes logs whose commits cite what their writers could have read: each is a random step of a random writer.
func history(r *rand.Rand, logs []id.Log) map[id.Log][]*eventstore.Commit {
	made := map[id.Log][]*eventstore.Commit{}
	read := map[[2]id.Log]uint64{} // writer, upstream → number
	for range 60 {
		w := logs[r.IntN(len(logs))]
		var cursors []*v1.Cursor
		for _, up := range logs {
			at, end := read[[2]id.Log{w, up}], uint64(len(made[up]))
			if up == w || at == end || r.IntN(2) == 0 {
				continue
			}
			at += 1 + r.Uint64N(end-at)
			read[[2]id.Log{w, up}] = at
			cursors = append(cursors, cursorOn(up, at))
		}
		made[w] = append(made[w], commitOf(w, uint64(len(made[w]))+1, cursors...))
	}
	return made
}

// However the commits of several logs arrive, all are handed out, each log's in order and no effect before its cause.
func TestEveryLegalArrivalIsDeliveredCausally(t *testing.T) {
	logs := id.Logs(3)
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		made := history(r, logs)
		follow := logs[:2+r.IntN(len(logs)-1)]
		c := eventstore.NewCausal(follow)
		seen := map[id.Log]uint64{}
		total, delivered := 0, 0
		for _, log := range follow {
			total += len(made[log])
		}
		drain := func() {
			for commit := c.Next(); commit != nil; commit = c.Next() {
				if commit.Number != seen[commit.Log]+1 {
					t.Fatalf("seed %d: %s@%d after %d", seed, commit.Log, commit.Number, seen[commit.Log])
				}
				for _, cur := range commit.Cursors {
					on := id.Log{Service: cur.Service, Home: id.Home(cur.Home)}
					if slices.Contains(follow, on) && seen[on] < cur.Number {
						t.Fatalf("seed %d: %s@%d before %s@%d", seed, commit.Log, commit.Number, on, cur.Number)
					}
				}
				seen[commit.Log] = commit.Number
				delivered++
			}
		}
		arrived := map[id.Log]int{}
		for range total {
			log := follow[r.IntN(len(follow))]
			for arrived[log] == len(made[log]) {
				log = follow[r.IntN(len(follow))]
			}
			c.Add(made[log][arrived[log]])
			arrived[log]++
			if r.IntN(3) > 0 {
				drain()
			}
		}
		drain()
		if delivered != total || len(c.Blocked()) != 0 {
			t.Fatalf("seed %d: %d of %d delivered, blocked: %v", seed, delivered, total, c.Blocked())
		}
	}
}
