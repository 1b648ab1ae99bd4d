package targeting

import (
	"slices"

	"github.com/droverhq/drover/projections/kv"
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
		open := openMemberships(s, thing.Number)
		if slices.ContainsFunc(open, func(m openMembership) bool { return m.group == number }) {
			continue
		}
		if err := checkJoin(s, thing.Name, open, string(group), root); err != nil {
			return nil, err
		}
		joining = append(joining, thing)
	}
	for _, thing := range joining {
		s.Emit(joined(string(group), thing), nil)
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
		if load(s, memberKey(number, thing.Name, thing.Number), decodeStay).since == 0 {
			continue
		}
		s.Emit(left(string(group), number, thing.Name, thing.Number), nil)
		reply.Left++
	}
	reply.Position = s.Position()
	return reply, nil
}

// changeGroups decides ChangeGroupsOfThing: all or none. A group that it is in already, or is not, is passed over.
// It leaves before it joins, so that it may move within one hierarchy.
func changeGroups(s *core.Step, cmd *v1.ChangeGroupsOfThing) (*v1.ChangeGroupsOfThingReply, error) {
	name, err := parseThing(cmd.Thing)
	if err != nil {
		return nil, err
	}
	if n := len(cmd.Add) + len(cmd.Remove); n > changesMax {
		return nil, invalid(fieldAdd, "%d groups are named; at most %d are allowed", n, changesMax)
	}
	number, _, ok := findThing(s, name)
	if !ok {
		return nil, notFound(fieldThing, "there is no thing %s", name)
	}
	add, err := findGroups(s, fieldAdd, cmd.Add)
	if err != nil {
		return nil, err
	}
	remove, err := findGroups(s, fieldRemove, cmd.Remove)
	if err != nil {
		return nil, err
	}
	open := openMemberships(s, number)
	var leaving, joining []openMembership
	open = slices.DeleteFunc(open, func(m openMembership) bool {
		if !slices.ContainsFunc(remove, m.same) {
			return false
		}
		leaving = append(leaving, m)
		return true
	})
	for _, group := range add {
		if slices.ContainsFunc(remove, group.same) {
			return nil, invalid(fieldAdd, "group %s is named both to join and to leave", group.row.name)
		}
		if slices.ContainsFunc(open, group.same) {
			continue
		}
		if err := checkJoin(s, string(name), open, group.row.name, group.row.root); err != nil {
			return nil, err
		}
		open, joining = append(open, group), append(joining, group)
	}
	for _, group := range leaving {
		s.Emit(left(group.row.name, group.group, string(name), number), nil)
	}
	for _, group := range joining {
		s.Emit(joined(group.row.name, &v1.ThingRef{Name: string(name), Number: number}), nil)
	}
	return &v1.ChangeGroupsOfThingReply{Position: s.Position()}, nil
}

// findGroups finds groups that must all be there; one that is named twice is found twice.
func findGroups(s *core.Step, field string, list []string) (groups []openMembership, err error) {
	for _, text := range list {
		name, err := parseGroup(field, text)
		if err != nil {
			return nil, err
		}
		number, ok := findGroup(s, name)
		if !ok {
			return nil, notFound(field, "there is no group %s; create it first", name)
		}
		groups = append(groups, openMembership{group: number, row: loadGroup(s, number)})
	}
	return groups, nil
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

func joined(group string, thing *v1.ThingRef) *v1.Event {
	return &v1.Event{Event: &v1.Event_ThingJoined{ThingJoined: &v1.ThingJoined{Group: group, Thing: thing}}}
}

func left(group string, number uint64, thing string, thingNumber uint64) *v1.Event {
	return &v1.Event{Event: &v1.Event_ThingLeft{ThingLeft: &v1.ThingLeft{
		Group: group, GroupNumber: number, Thing: &v1.ThingRef{Name: thing, Number: thingNumber},
	}}}
}

// openMembership is a group that a thing is in now, or may come to be in.
type openMembership struct {
	group uint64
	row   groupRow
}

func (m openMembership) same(o openMembership) bool { return m.group == o.group }

// openMemberships are the groups that a thing is a direct member of now: a deleted group has none.
func openMemberships(r kv.Reader, thing uint64) (open []openMembership) {
	for _, m := range loadMemberships(r, thing) {
		if m.since == 0 {
			continue
		}
		if row := loadGroup(r, m.group); row.deleted == 0 {
			open = append(open, openMembership{group: m.group, row: row})
		}
	}
	return open
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

// checkJoin refuses a thing that is in these groups and may not come into another: it is in at most 10 groups, and in
// one of each hierarchy, which is a root with all below it (specification §2.11).
func checkJoin(s *core.Step, thing string, open []openMembership, group string, root uint64) error {
	for _, m := range open {
		if m.row.root == root {
			return invalid(fieldGroup, "thing %s is in group %s, which is of one hierarchy with group %s (its root is %s); remove it from there first",
				thing, m.row.name, group, loadGroup(s, root).name)
		}
	}
	if len(open) >= groupsMax {
		return limitExceeded(fieldThing, "thing %s is in %d groups; at most %d are allowed: remove it from one first", thing, len(open), groupsMax)
	}
	return nil
}
