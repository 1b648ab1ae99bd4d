package cli_test

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tap is a proxy between one process and the hub: it notes what that process publishes to devices, and when.
type tap struct {
	t        *testing.T
	hub      string // host:port
	listener net.Listener

	mu      sync.Mutex
	streams map[*net.TCPConn]*stream
	said    []said
	read    int // bytes
}

// said is one message as the process wrote it: the times at which its first and its last byte came. A message is sent when
// its last byte is, since the broker does nothing with a part of one.
type said struct {
	subject      string
	payload      []byte // the first 300 bytes
	began, ended time.Time
}

func newTap(t *testing.T, hubURL string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{t: t, hub: strings.TrimPrefix(hubURL, "nats://"), listener: l, streams: map[*net.TCPConn]*stream{}}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.carry(c.(*net.TCPConn))
		}
	}()
	return p
}

func (p *tap) url() string { return "nats://" + p.listener.Addr().String() }

func (p *tap) carry(from *net.TCPConn) {
	defer from.Close()
	to, err := net.Dial("tcp", p.hub)
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		_, _ = io.Copy(from, to)
		from.Close()
	}()
	s := &stream{}
	p.mu.Lock()
	p.streams[from] = s
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.streams, from)
		p.mu.Unlock()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			p.mu.Lock()
			p.read += n
			s.take(time.Now(), buf[:n], func(m said) { p.said = append(p.said, m) })
			p.mu.Unlock()
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// fence is called while the process is stopped: it waits until everything that the process has handed to the kernel is
// here. What comes later, and the end of what is here in part, it wrote after it was resumed.
func (p *tap) fence() (mark int) {
	p.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for last, same := -1, 0; same < 5; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatal("a stopped process goes on writing")
		}
		p.mu.Lock()
		if p.read == last && p.queued() == 0 {
			same++
		} else {
			last, same = p.read, 0
		}
		mark = len(p.said)
		p.mu.Unlock()
	}
	return mark
}

// queued is how many bytes the kernel has for this end. The caller holds the lock.
func (p *tap) queued() (bytes int) {
	for c := range p.streams {
		raw, err := c.SyscallConn()
		if err != nil {
			continue
		}
		_ = raw.Control(func(fd uintptr) { // a closed connection has none
			if n, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ); err == nil {
				bytes += n
			}
		})
	}
	return bytes
}

// since is what was said behind a fence.
func (p *tap) since(mark int) []said {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]said(nil), p.said[mark:]...)
}

// stream reads the messages that a client publishes out of what it writes. (NATS client protocol)
type stream struct {
	line  []byte
	began time.Time
	cur   said
	left  int // bytes of the payload and its end of line
}

func (s *stream) take(now time.Time, data []byte, emit func(said)) {
	for len(data) > 0 {
		if s.left > 0 {
			n := min(s.left, len(data))
			if room := 300 - len(s.cur.payload); room > 0 {
				s.cur.payload = append(s.cur.payload, data[:min(n, room)]...)
			}
			s.left, data = s.left-n, data[n:]
			if s.left == 0 && strings.HasPrefix(s.cur.subject, "$aws.things.") {
				s.cur.ended = now
				emit(s.cur)
			}
			continue
		}
		if len(s.line) == 0 {
			s.began = now
		}
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			s.line = append(s.line, data...)
			return
		}
		s.line, data = append(s.line, data[:end]...), data[end+1:]
		words := strings.Fields(string(s.line))
		s.line = s.line[:0]
		if len(words) >= 3 && (words[0] == "PUB" || words[0] == "HPUB") {
			size, err := strconv.Atoi(words[len(words)-1])
			if err != nil {
				panic("a tap lost its place: " + strings.Join(words, " "))
			}
			s.left, s.cur = size+2, said{subject: words[1], began: s.began}
		}
	}
}
