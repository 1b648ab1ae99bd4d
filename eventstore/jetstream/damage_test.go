package jetstream_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/eventstoretest"
	"github.com/droverhq/drover/eventstore/jetstream"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

const commitsWritten = 300

// written is a log that was written, and the files that its server has left.
type written struct {
	dir  string
	log  id.Log
	head eventstore.Mark
	ends []int64 // where commit n ends in the file, at n-1
}

// write fills a log and leaves its server's files: by a stop, or as kill -9 leaves them, by a copy while it runs.
func write(t *testing.T, clean bool) *written {
	t.Helper()
	d := &written{dir: t.TempDir(), log: id.ExecutionLog(3)}
	s := start(t, d.dir)
	log := eventstore.New(d.log, open(t, connect(t, s.ClientURL()), d.log, jetstream.Options{Create: true}))
	w := eventstoretest.NewWriter(t, log)
	opened, err := log.Raw(within(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	datas := [][]byte{opened.Data}
	for n := uint64(2); n <= commitsWritten; n++ {
		datas = append(datas, w.Event(&v1.Event{Event: &v1.Event_JobCompleted{JobCompleted: &v1.JobCompleted{Job: n}}}).Data)
	}
	d.head = w.Head
	if clean {
		s.Shutdown()
		s.WaitForShutdown()
	} else {
		d = d.copy(t)
		s.Shutdown()
	}
	file, at := d.read(t), 0
	for n, data := range datas {
		i := bytes.Index(file[at:], data)
		if i < 0 {
			t.Fatalf("commit %d is not in the file", n+1)
		}
		at += i + len(data) + 8 // the record's checksum
		d.ends = append(d.ends, int64(at))
	}
	return d
}

func (d *written) copy(t *testing.T) *written {
	t.Helper()
	c := *d
	c.dir = t.TempDir()
	if err := os.CopyFS(c.dir, os.DirFS(d.dir)); err != nil {
		t.Fatal(err)
	}
	return &c
}

func (d *written) file() string {
	return filepath.Join(d.dir, "jetstream", "$G", "streams", jetstream.StreamName(d.log, 1), "msgs", "1.blk")
}

func (d *written) read(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile(d.file())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// flip changes one bit at an offset of the file.
func (d *written) flip(t *testing.T, at int64) {
	t.Helper()
	data := d.read(t)
	data[at] ^= 0x10
	if err := os.WriteFile(d.file(), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (d *written) truncate(t *testing.T, at int64) {
	t.Helper()
	if err := os.Truncate(d.file(), at); err != nil {
		t.Fatal(err)
	}
}

// commitAt is the commit that holds the byte at an offset.
func (d *written) commitAt(offset int64) uint64 {
	n := uint64(1)
	for d.ends[n-1] <= offset {
		n++
	}
	return n
}

// readAgain starts a server on the files and reads from the beginning to the head that is known; it returns how many
// commits were handed out, in order.
func (d *written) readAgain(t *testing.T) (handed uint64, err error) {
	t.Helper()
	if err := jetstream.CheckFiles(d.dir); err != nil {
		return 0, err
	}
	s := start(t, d.dir, func(o *server.Options) { o.ServerName = "again" })
	defer s.Shutdown()
	nc := connect(t, s.ClientURL())
	defer nc.Close()
	b, err := jetstream.Open(within(t), nc, d.log, jetstream.Options{})
	if err != nil {
		return 0, err
	}
	err = eventstore.New(d.log, b).ReadTo(within(t), eventstore.Mark{}, d.head.Number, func(c *eventstore.Commit) error {
		if handed++; c.Number != handed {
			t.Errorf("commit %d was handed out as %d", c.Number, handed)
		}
		return nil
	})
	return handed, err
}

// expectDamage reads again and wants log and number named, and nothing from there on handed out.
func (d *written) expectDamage(t *testing.T, hit uint64) {
	t.Helper()
	handed, err := d.readAgain(t)
	var damage *eventstore.DamageError
	if !errors.As(err, &damage) || damage.Log != d.log || damage.First > hit || damage.Last < hit {
		t.Fatalf("got %v, want damage at %d", err, hit)
	}
	if handed >= hit {
		t.Fatalf("%d commits were handed out, %d is damaged", handed, hit)
	}
}

// A medium that changes, cuts or loses what it was given is noticed by whoever reads to a known end, whatever the
// server makes of it.
func TestDamagedFilesAreNamedAndNotServed(t *testing.T) {
	for _, clean := range []bool{true, false} {
		original := write(t, clean)
		size, end := original.ends[commitsWritten-1], original.ends
		left := map[bool]string{true: "stopped", false: "killed"}[clean]
		for name, at := range map[string]int64{
			"a bit in the first third":  size / 6,
			"a bit in the second third": size / 2,
			"a bit in the last third":   size * 5 / 6,
			"a bit in the first commit": end[0] - 20,
			"a bit in the last commit":  size - 20,
		} {
			t.Run(left+"/"+name, func(t *testing.T) {
				d := original.copy(t)
				d.flip(t, at)
				d.expectDamage(t, d.commitAt(at))
			})
		}
		for name, at := range map[string]int64{
			"cut within a commit":     end[199] + 11,
			"the last commit cut off": end[commitsWritten-2],
			"the last byte cut off":   size - 1,
			"nothing left":            0,
		} {
			t.Run(left+"/"+name, func(t *testing.T) {
				d := original.copy(t)
				d.truncate(t, at)
				d.expectDamage(t, d.commitAt(at))
			})
		}
		t.Run(left+"/the file is gone", func(t *testing.T) {
			d := original.copy(t)
			if err := os.Remove(d.file()); err != nil {
				t.Fatal(err)
			}
			d.expectDamage(t, 1)
		})
		t.Run(left+"/half a record behind the end", func(t *testing.T) {
			d := original.copy(t) // a crash during a write: nobody was told of that commit
			data := d.read(t)
			if err := os.WriteFile(d.file(), append(data, data[end[0]:end[0]+40]...), 0o600); err != nil {
				t.Fatal(err)
			}
			if handed, err := d.readAgain(t); err != nil || handed != commitsWritten {
				t.Fatalf("got %d commits, %v", handed, err)
			}
		})
		t.Run(left+"/undamaged", func(t *testing.T) {
			if handed, err := original.copy(t).readAgain(t); err != nil || handed != commitsWritten {
				t.Fatalf("got %d commits, %v", handed, err)
			}
		})
	}
}

// The head of a record holds its length, its number, its time and the length of its subject.
func TestADamagedRecordHeadIsNamed(t *testing.T) {
	original := write(t, true)
	const hit = 150
	for at := range int64(22) {
		t.Run(fmt.Sprintf("byte %d", at), func(t *testing.T) {
			d := original.copy(t)
			d.flip(t, d.ends[hit-2]+at)
			// A server may not live to see a changed number: the files tell.
			var damage *eventstore.DamageError
			if err := jetstream.CheckFiles(d.dir); 4 <= at && at < 12 && (!errors.As(err, &damage) || damage.First != hit) {
				t.Fatalf("got %v from the files, want damage at %d", err, hit)
			}
			d.expectDamage(t, hit)
		})
	}
}

// A broker that comes back with less than a follower was given of a log does not keep it waiting.
func TestAFollowerNoticesALogThatCameBackShorter(t *testing.T) {
	ctx := within(t)
	original := write(t, false)
	whole, cut := original.copy(t), original.copy(t)
	cut.truncate(t, cut.ends[commitsWritten-2])

	s := start(t, whole.dir)
	b := open(t, connect(t, s.ClientURL()), whole.log, jetstream.Options{})
	arrived, done := make(chan bool, 1), make(chan error, 1)
	go func() {
		done <- eventstore.New(whole.log, b).Follow(ctx, eventstore.Mark{}, func(c *eventstore.Commit) error {
			if c.Number == commitsWritten {
				arrived <- true
			}
			return nil
		})
	}()
	select {
	case <-arrived:
	case err := <-done:
		t.Fatal(err)
	}
	addr := s.Addr().String()
	s.Shutdown()
	s.WaitForShutdown()
	start(t, cut.dir, onAddr(addr))
	var damage *eventstore.DamageError
	if err := <-done; !errors.As(err, &damage) || damage.First != commitsWritten || damage.Log != whole.log {
		t.Fatalf("got %v, want damage at %d", err, commitsWritten)
	}
}
