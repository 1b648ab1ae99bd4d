package targeting

import (
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// addThings decides AddThings: all or none. A thing that is a member already is passed over.
func addThings(s *core.Step, cmd *v1.AddThings) (*v1.AddThingsReply, error) {
	group, number, things, err := checkMembers(s, cmd.Group, cmd.Things)
	if err != nil {
		return nil, err
	}
	refs, err := findThings(s, things)
	if err != nil {
		return nil, err
	}
	root := loadGroup(s, number).root
	joining := refs[:0]
	for _, thing := range refs {
		member, err := checkJoin(s, thing, group, number, root)
		if err != nil {
			return nil, err
		}
		if !member {
			joining = append(joining, thing)
		}
	}
	for _, thing := range joining {
		s.Emit(&v1.Event{Event: &v1.Event_ThingJoined{ThingJoined: &v1.ThingJoined{Group: string(group), Thing: thing}}}, nil)
	}
	return &v1.AddThingsReply{Position: s.Position(), Joined: uint32(len(joining))}, nil
}

// removeThings decides RemoveThings: all or none. A thing that is no member is passed over.
func removeThings(s *core.Step, cmd *v1.RemoveThings) (*v1.RemoveThingsReply, error) {
	group, number, things, err := checkMembers(s, cmd.Group, cmd.Things)
	if err != nil {
		return nil, err
	}
	refs, err := findThings(s, things)
	if err != nil {
		return nil, err
	}
	reply := &v1.RemoveThingsReply{}
	for _, thing := range refs {
		if !isMember(s, number, id.Thing(thing.Name), thing.Number) {
			continue
		}
		s.Emit(left(string(group), id.Thing(thing.Name), thing.Number), nil)
		reply.Left++
	}
	reply.Position = s.Position()
	return reply, nil
}

// findThings finds things that must all be there.
func findThings(s *core.Step, things []id.Thing) ([]*v1.ThingRef, error) {
	refs := make([]*v1.ThingRef, 0, len(things))
	var unknown []string
	for _, name := range things {
		number, _, ok := findThing(s, name)
		if !ok {
			unknown = append(unknown, string(name))
		}
		refs = append(refs, &v1.ThingRef{Name: string(name), Number: number})
	}
	if len(unknown) > 0 {
		return nil, notFound(fieldThing, "unknown: %s; create them first", names(unknown))
	}
	return refs, nil
}

func left(group string, thing id.Thing, number uint64) *v1.Event {
	return &v1.Event{Event: &v1.Event_ThingLeft{ThingLeft: &v1.ThingLeft{
		Group: group,
		Thing: &v1.ThingRef{Name: string(thing), Number: number},
	}}}
}

func isMember(s *core.Step, group uint64, name id.Thing, thing uint64) bool {
	return load(s, memberKey(group, string(name), thing), decodeStay).since != 0
}

// checkMembers checks a command about members of one group, and finds the group. A thing named twice is returned
// once.
func checkMembers(s *core.Step, groupName string, thingNames []string) (group id.Group, number uint64, things []id.Thing, err error) {
	if group, err = parseGroup(fieldGroup, groupName); err != nil {
		return
	}
	size := 0
	for _, name := range thingNames {
		size += len(name)
	}
	if err = checkSize(len(thingNames), size); err != nil {
		return
	}
	seen := make(map[id.Thing]bool, len(thingNames))
	for _, name := range thingNames {
		var thing id.Thing
		if thing, err = parseThing(name); err != nil {
			return
		}
		if !seen[thing] {
			things = append(things, thing)
		}
		seen[thing] = true
	}
	number, ok := findGroup(s, group)
	if !ok {
		err = notFound(fieldGroup, "there is no group %s; create it first", group)
	}
	return
}

// checkJoin says whether a thing is a member of the group already, and refuses if it may not become one: a thing is
// in at most 10 groups, and in one of each hierarchy, which is a root with all below it (specification §2.11).
func checkJoin(s *core.Step, thing *v1.ThingRef, group id.Group, number, root uint64) (member bool, err error) {
	groups := 0
	for _, m := range loadMemberships(s, thing.Number) {
		if m.since == 0 {
			continue
		}
		if m.group == number {
			return true, nil
		}
		if other := loadGroup(s, m.group); other.root == root {
			return false, invalid(fieldGroup, "thing %s is in group %s, which is of one hierarchy with group %s (its root is %s); remove it from there first",
				thing.Name, other.name, group, loadGroup(s, root).name)
		}
		groups++
	}
	if groups >= groupsMax {
		return false, limitExceeded(fieldThing, "thing %s is in %d groups; at most %d are allowed: remove it from one first", thing.Name, groups, groupsMax)
	}
	return false, nil
}
