package sim

import (
	"maps"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// fleet is the things and groups as log.targeting tells them.
type fleet struct {
	things  map[string]uint64
	names   map[uint64]string // of all that ever were
	parents map[string]string
	members map[string]map[uint64]bool
}

func newFleet() fleet {
	return fleet{things: map[string]uint64{}, names: map[uint64]string{}, parents: map[string]string{}, members: map[string]map[uint64]bool{}}
}

// resolve is the things that targets hold now: a group holds what its descendants hold.
func (f *fleet) resolve(targets []*v1.Target) map[uint64]string {
	found := map[uint64]string{}
	for _, t := range targets {
		if n, ok := f.things[t.GetThing()]; ok {
			found[n] = t.GetThing()
		}
		for group, members := range f.members {
			within := false
			for g := group; g != ""; g = f.parents[g] {
				within = within || g == t.GetGroup()
			}
			if within {
				for n := range members {
					found[n] = f.names[n]
				}
			}
		}
	}
	return found
}

// targetingEvent: log.targeting. A snapshot is what the targets held when the selection started, but for things that
// were deleted while it ran; that of a canceled job may stop short.
func (c *checker) targetingEvent(number uint64, event *v1.Event) error {
	f := &c.fleet
	switch e := event.Event.(type) {
	case *v1.Event_ThingCreated:
		t := e.ThingCreated.Thing
		if _, ok := f.things[t.Name]; ok || t.Number != number {
			return broken("thing %s is created as %d at place %d; there was one: %v", t.Name, t.Number, number, ok)
		}
		f.things[t.Name], f.names[t.Number] = t.Number, t.Name
	case *v1.Event_ThingDeleted:
		t := e.ThingDeleted.Thing
		if f.things[t.Name] != t.Number {
			return broken("thing %s %d is deleted; there is %d", t.Name, t.Number, f.things[t.Name])
		}
		c.w.met("thing deleted")
		delete(f.things, t.Name)
		for group, m := range f.members {
			if m[t.Number] {
				return broken("thing %s is deleted and still in group %s", t.Name, group)
			}
		}
		for _, j := range c.jobs {
			if _, selected := j.selected[t.Number]; !selected {
				delete(j.members, t.Number)
			}
		}
	case *v1.Event_GroupCreated:
		f.parents[e.GroupCreated.Group] = e.GroupCreated.Parent
		f.members[e.GroupCreated.Group] = map[uint64]bool{}
	case *v1.Event_ThingJoined:
		f.members[e.ThingJoined.Group][e.ThingJoined.Thing.Number] = true
	case *v1.Event_ThingLeft:
		delete(f.members[e.ThingLeft.Group], e.ThingLeft.Thing.Number)
	case *v1.Event_GroupDeleted:
		c.w.met("group deleted")
		delete(f.parents, e.GroupDeleted.Group)
		delete(f.members, e.GroupDeleted.Group)
	case *v1.Event_SelectionStarted:
		j, err := c.job(e.SelectionStarted.Job)
		if err != nil {
			return err
		}
		if j.selecting && !j.continuous {
			return broken("its selection starts again")
		}
		j.selecting, j.members = true, f.resolve(e.SelectionStarted.Targets)
	case *v1.Event_ThingsSelected:
		return c.thingsSelected(e.ThingsSelected)
	case *v1.Event_ThingsDeselected:
		j, err := c.job(e.ThingsDeselected.Job)
		if err != nil {
			return err
		}
		for _, t := range e.ThingsDeselected.Things {
			if j.selected[t.Number] != t.Name || !j.continuous {
				return broken("%s is deselected; selected as %q, continuous %v", t.Name, j.selected[t.Number], j.continuous)
			}
			delete(j.selected, t.Number)
		}
	case *v1.Event_SelectionFinished:
		j, err := c.job(e.SelectionFinished.Job)
		if err != nil {
			return err
		}
		if j.continuous {
			j.chosen = true
			return nil
		}
		if j.chosen || int(e.SelectionFinished.Things) != len(j.selected) {
			return broken("its selection finishes with %d things, %d were selected; again %v", e.SelectionFinished.Things, len(j.selected), j.chosen)
		}
		for n, name := range j.members {
			if _, ok := j.selected[n]; !ok && !j.canceled && !j.ended && !j.deleting {
				return broken("%s was in a target when the selection started and is not selected", name)
			}
		}
		j.members = maps.Clone(j.selected)
		j.chosen = true
	}
	return nil
}

// thingsSelected: each thing once; of a continuous job once more when it has left.
func (c *checker) thingsSelected(e *v1.ThingsSelected) error {
	f := &c.fleet
	j, err := c.job(e.Job)
	if err != nil {
		return err
	}
	if e.Joined {
		c.w.met("things selected after a join")
	}
	for _, t := range e.Things {
		if _, twice := j.selected[t.Number]; twice || !j.selecting || j.chosen && !j.continuous {
			return broken("%s is selected; twice %v, started %v, finished %v", t.Name, twice, j.selecting, j.chosen)
		}
		if f.names[t.Number] != t.Name {
			return broken("%s %d is selected; that number is %q", t.Name, t.Number, f.names[t.Number])
		}
		j.selected[t.Number] = t.Name
		j.chosenTimes[t.Number]++
		if _, ok := j.members[t.Number]; !ok && !j.continuous && f.things[t.Name] == t.Number {
			return broken("%s is selected and was in no target when the selection started", t.Name)
		}
	}
	return nil
}
