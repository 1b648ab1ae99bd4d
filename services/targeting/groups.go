package targeting

import (
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// createGroup decides CreateGroup. The parent is fixed for ever; an identical repeat changes nothing
// (specification §2.10 and §2.11).
func createGroup(s *core.Step, cmd *v1.CreateGroup) (*v1.CreateGroupReply, error) {
	e, err := newGroup(cmd)
	if err != nil {
		return nil, err
	}
	if number, ok := findGroup(s, id.Group(e.Group)); ok {
		if err := checkRepeat(s, number, e); err != nil {
			return nil, err
		}
		return &v1.CreateGroupReply{Position: s.Position(), Existed: true, Number: number}, nil
	}
	if e.Parent != "" {
		if err := checkParent(s, id.Group(e.Parent)); err != nil {
			return nil, err
		}
	}
	e.Number = s.Place().ID()
	s.Emit(&v1.Event{Event: &v1.Event_GroupCreated{GroupCreated: e}}, nil)
	return &v1.CreateGroupReply{Position: s.Position(), Number: e.Number}, nil
}

// newGroup checks a new group without any state.
func newGroup(cmd *v1.CreateGroup) (*v1.GroupCreated, error) {
	name, err := parseGroup(fieldGroup, cmd.Group)
	if err != nil {
		return nil, err
	}
	var parent id.Group
	if cmd.Parent != "" {
		if parent, err = parseGroup(fieldParent, cmd.Parent); err != nil {
			return nil, err
		}
	}
	if err := checkDescription(cmd.Description); err != nil {
		return nil, err
	}
	attributes, err := newAttributes(fieldGroupAttributes, "group "+string(name), cmd.Attributes)
	if err != nil {
		return nil, err
	}
	if err := checkAttributes(fieldGroupAttributes, "group "+string(name), attributes, attributesMax, ""); err != nil {
		return nil, err
	}
	tags, err := core.NewTags(fieldTags, cmd.Tags)
	if err != nil {
		return nil, err
	}
	return &v1.GroupCreated{Group: string(name), Parent: string(parent), Description: cmd.Description, Attributes: attributes, Tags: tags}, nil
}

// checkRepeat refuses the creation of a group that is there with other settings.
func checkRepeat(s *core.Step, number uint64, e *v1.GroupCreated) error {
	g, parent := loadGroup(s, number), ""
	if g.parent != 0 {
		parent = loadGroup(s, g.parent).name
	}
	settings := loadGroupSettings(s, number)
	if parent != e.Parent || settings.Description != e.Description || !sameAttributes(settings.Attributes, e.Attributes) || !repeatsTags(s, groupResource(e.Group), e.Tags) {
		return alreadyExists(fieldGroup, "group %s exists with another parent or description, or other attributes or tags; none can be changed by creating it again", e.Group)
	}
	return nil
}

// checkParent refuses a parent that cannot have one more child.
func checkParent(s *core.Step, parent id.Group) error {
	number, ok := findGroup(s, parent)
	if !ok {
		return notFound(fieldParent, "there is no group %s; create it first", parent)
	}
	switch p := loadGroup(s, number); {
	case p.depth >= depthMax:
		return limitExceeded(fieldParent, "group %s is at depth %d; groups nest at most %d deep", parent, p.depth, depthMax)
	case p.children >= childrenMax:
		return limitExceeded(fieldParent, "group %s has %d direct children; at most %d are allowed", parent, p.children, childrenMax)
	}
	return nil
}

// updateGroup decides UpdateGroup. A change raises the version by one; what changes nothing writes nothing
// (specification §2.10).
func updateGroup(s *core.Step, cmd *v1.UpdateGroup) (*v1.UpdateGroupReply, error) {
	name, err := parseGroup(fieldGroup, cmd.Group)
	if err != nil {
		return nil, err
	}
	if err := checkDescription(cmd.GetDescription()); err != nil {
		return nil, err
	}
	if !cmd.ChangeAttributes && len(cmd.Attributes) > 0 {
		return nil, invalid(fieldGroupAttributes, "attributes are given, and are not to be changed")
	}
	change, err := newAttributes(fieldGroupAttributes, "group "+string(name), cmd.Attributes)
	if err != nil {
		return nil, err
	}
	number, ok := findGroup(s, name)
	if !ok {
		return nil, notFound(fieldGroup, "there is no group %s", name)
	}
	old := loadGroupSettings(s, number)
	if err := checkVersion("group "+string(name), cmd.ExpectedVersion, old.Version); err != nil {
		return nil, err
	}
	e := &v1.GroupUpdated{
		Group: string(name), Number: number, Version: old.Version + 1,
		Description: old.Description, Attributes: changed(old.Attributes, change, cmd.ChangeAttributes, cmd.Merge),
	}
	if cmd.Description != nil {
		e.Description = cmd.GetDescription()
	}
	if e.Description == old.Description && sameAttributes(e.Attributes, old.Attributes) {
		return &v1.UpdateGroupReply{Position: s.Position(), Version: old.Version}, nil
	}
	if err := checkAttributes(fieldGroupAttributes, "group "+string(name), e.Attributes, attributesMax, ""); err != nil {
		return nil, err
	}
	s.Emit(&v1.Event{Event: &v1.Event_GroupUpdated{GroupUpdated: e}}, nil)
	return &v1.UpdateGroupReply{Position: s.Position(), Version: e.Version}, nil
}

// deleteGroup decides DeleteGroup: an intent. Its members are none from this commit on; Due carries it out (empty.go).
// A group with children is refused, one with members is not (specification §2.10).
func deleteGroup(s *core.Step, cmd *v1.DeleteGroup) (*v1.DeleteGroupReply, error) {
	name, err := parseGroup(fieldGroup, cmd.Group)
	if err != nil {
		return nil, err
	}
	number, ok := findGroup(s, name)
	if !ok {
		return &v1.DeleteGroupReply{Position: s.Position()}, nil
	}
	if err := checkVersion("group "+string(name), cmd.ExpectedVersion, loadGroupSettings(s, number).Version); err != nil {
		return nil, err
	}
	if n := loadGroup(s, number).children; n > 0 {
		return nil, invalid(fieldGroup, "group %s has %d child groups; delete them first", name, n)
	}
	s.Emit(&v1.Event{Event: &v1.Event_GroupDeleted{GroupDeleted: &v1.GroupDeleted{Group: string(name), Number: number}}}, nil)
	return &v1.DeleteGroupReply{Position: s.Position(), Existed: true}, nil
}
