package node

import (
	"errors"
	"net"
	"testing"
	"time"
)

// What was handed to a connection before the process stood still is not written if the lease has run out meanwhile.
func TestAConnectionIsGivenUpAfterAPause(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	now := time.Now()
	for _, c := range []struct {
		what   string
		ticker bool // the ticker is the first to run again
		still  time.Duration
		owns   bool
		err    error
	}{
		{"no pause", false, pauseMin - time.Millisecond, false, nil},
		{"a pause, the lease has been renewed", false, 2 * time.Second, true, nil},
		{"a pause, the lease has run out", false, 2 * time.Second, false, errStoodStill},
		{"the same, and the pulse was counted first", true, 2 * time.Second, false, errStoodStill},
	} {
		inner, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		p := &pulse{last: now}
		conn := &alertConn{Conn: inner, pulse: p, owns: func() bool { return c.owns }}
		p.last = time.Now().Add(-c.still)
		if c.ticker {
			p.beat(time.Now())
		}
		if c.still < pauseMin { // the machine may be slow
			p.last = time.Now()
		}
		if _, err := conn.Write([]byte("x")); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.what, err, c.err)
		}
		if c.err != nil {
			if _, err := inner.Write([]byte("x")); err == nil {
				t.Errorf("%s: the connection is open", c.what)
			}
		}
		inner.Close()
	}
}
