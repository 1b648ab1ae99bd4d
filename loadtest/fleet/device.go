package fleet

import (
	"sync"
	"time"

	"github.com/droverhq/drover/loadtest/agent"
)

// device is one agent with its timer and its link. All of it is used under mu, which is held while facts are written
// and requests are handed to the link, so that they leave in their order.
type device struct {
	fleet *fleet
	thing string

	mu      sync.Mutex
	agent   *agent.Agent
	timer   *time.Timer
	send    func(r agent.Request) // nil while not connected; never waits
	idle    bool
	stopped bool
}

// connected says that send works and answers are subscribed.
func (d *device) connected(send func(agent.Request)) {
	d.fleet.stats.connected(1)
	d.step(func(now int64) agent.Effects {
		d.send = send
		return d.agent.Connected(now)
	})
}

func (d *device) disconnected() {
	d.fleet.stats.connected(-1)
	d.step(func(now int64) agent.Effects {
		d.send = nil
		return d.agent.Disconnected(now)
	})
}

// received hands in a message; topic is what follows …/jobs/.
func (d *device) received(topic string, payload []byte) {
	m, err := decode(d.thing, topic, payload)
	if err != nil {
		d.fleet.stats.malformed(d.thing, topic, payload, err)
		return
	}
	d.step(func(now int64) agent.Effects {
		if m.notice {
			return d.agent.Noticed(now, m.head)
		}
		return d.agent.Answered(now, m.answer)
	})
}

func (d *device) tick() { d.step(d.agent.Tick) }

func (d *device) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	d.timer.Stop()
}

func (d *device) step(input func(now int64) agent.Effects) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return
	}
	now, before := d.fleet.now(), d.agent.Ended()
	e := input(now)
	if idle := d.agent.Idle(); idle != d.idle {
		d.idle = idle
		if idle {
			d.fleet.idle.Add(1)
		} else {
			d.fleet.idle.Add(-1)
		}
	}
	// A kill here, after the facts and before the requests, leaves facts without their reports: the next life of the
	// device is offered the execution again and reports what the journal recalls.
	if err := d.fleet.note(e.Facts); err != nil {
		d.stopped = true
		d.timer.Stop()
		return
	}
	if n := d.fleet.config.UntilJobs; before < n && d.agent.Ended() >= n {
		d.fleet.done.Add(1)
	}
	if e.Wake == 0 {
		d.timer.Stop()
	} else {
		d.timer.Reset(max(time.Duration(e.Wake-now), time.Millisecond))
	}
	for _, r := range e.Requests {
		if d.send != nil {
			d.send(r)
		}
	}
}
