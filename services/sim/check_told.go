package sim

import (
	"fmt"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// told is what a device was told last of its head and its list.
type told struct {
	head, list string
	epoch      uint64 // in which it was told anything
	headEpoch  uint64 // in which it was told its head
}

// notified takes in what the broker was handed. One owner never tells the same head twice running: real agents take a
// repeated notify-next for another job. The next owner may, if it cannot know that it was told.
func (c *checker) notified(l *simLog, epoch uint64, n *v1.Notification) {
	was := c.told[n.Thing]
	now := was
	now.epoch = epoch
	if n.Head != nil {
		c.w.met("head told")
		now.head = head2text(n.Head.Execution)
		if now.headEpoch = epoch; now.head == was.head && was.headEpoch == epoch {
			c.surprise = broken("%s is told twice by one owner of %s that its head is %q", n.Thing, l.name, now.head)
		}
	}
	if n.List != nil {
		now.list = list2text(n.List.InProgress, n.List.Queued)
	}
	c.told[n.Thing] = now
	if now.head != "" {
		for _, d := range c.w.devices {
			d.told = d.told || d.thing == n.Thing
		}
	}
}

func head2text(e *v1.Execution) string {
	if e == nil {
		return ""
	}
	return fmt.Sprintf("%s.%d", e.JobId, e.ExecutionNumber)
}

func list2text(lists ...[]*v1.Execution) string {
	set := map[string]int{}
	for _, l := range lists {
		for _, e := range l {
			set[head2text(e)]++
		}
	}
	if len(set) == 0 {
		return ""
	}
	return fmt.Sprint(set)
}

// everybodyKnows: at rest a device that the last owner told anything knows that nothing is pending. One that was told
// by an owner before may not: if that telling was not recorded, and what it told was gone when the next owner
// compared, there is no difference to tell. Such a device learns it when it asks for its next job.
func (c *checker) everybodyKnows() error {
	for _, d := range c.w.devices {
		if t := c.told[d.thing]; t.epoch == c.logs[d.log.name].epoch && (t.head != "" || t.list != "") {
			return broken("%s was told last that its head is %q, its list %s; nothing is pending", d.thing, t.head, t.list)
		}
	}
	return nil
}
