package node

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/droverhq/drover/eventstore"
)

// An owner asks whether it may speak right before it hands a message to its connection, which writes it a moment later. A
// process that is stopped in that moment (SIGSTOP, a frozen container) would write it when it is resumed, to devices that
// have another owner by then. So what answers or tells gives a connection up, with what is in its buffer, if the process has
// stood still since the connection was last written to and the lease has run out. The devices ask again. (design §4 step 5)
//
// What is left is a stop between two instructions, between the look and the write.

// pulse counts how often this process stood still for pauseMin or longer.
type pulse struct {
	mu     sync.Mutex
	last   time.Time
	pauses uint64
}

const (
	pulseEvery = 100 * time.Millisecond
	// pauseMin is what an owner's word may be late by: it is given with LeaseMargin left.
	pauseMin = eventstore.LeaseMargin
)

// heart beats from the first look on.
var heart = sync.OnceValue(func() *pulse {
	p := &pulse{last: time.Now()}
	go func() {
		for range time.Tick(pulseEvery) {
			p.beat(time.Now())
		}
	}()
	return p
})

// beat is what the ticker does; whoever comes first behind a pause counts it.
func (p *pulse) beat(now time.Time) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.last) >= pauseMin {
		p.pauses++
	}
	p.last = now
	return p.pauses
}

// look says how many pauses there were.
func (p *pulse) look(now time.Time) uint64 {
	p.mu.Lock()
	late := now.Sub(p.last) >= pauseMin
	pauses := p.pauses
	p.mu.Unlock()
	if late {
		return p.beat(now)
	}
	return pauses
}

var errStoodStill = errors.New("the process stood still and its lease ran out: what it was about to say is not said")

// alertDialer dials connections that are given up like that.
type alertDialer struct {
	net.Dialer
	owns func() bool // the lease has not run out
}

func (d *alertDialer) Dial(network, address string) (net.Conn, error) {
	c, err := d.Dialer.Dial(network, address)
	if err != nil {
		return nil, err
	}
	p := heart()
	return &alertConn{Conn: c, pulse: p, owns: d.owns, pauses: p.look(time.Now())}, nil
}

// alertConn is written to by one goroutine at a time.
type alertConn struct {
	net.Conn
	pulse  *pulse
	owns   func() bool
	pauses uint64 // that were before the last write
}

func (c *alertConn) Write(b []byte) (int, error) {
	if pauses := c.pulse.look(time.Now()); pauses != c.pauses {
		if !c.owns() {
			c.Close()
			return 0, errStoodStill
		}
		c.pauses = pauses
	}
	return c.Conn.Write(b)
}
