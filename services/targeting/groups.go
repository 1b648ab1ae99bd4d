package targeting

import (
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// createGroup decides CreateGroup. The parent is fixed for ever; an identical repeat changes nothing
// (specification §2.10 and §2.11).
func createGroup(s *core.Step, cmd *v1.CreateGroup) (*v1.CreateGroupReply, error) {
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
	if number, ok := findGroup(s, name); ok {
		g, has := loadGroup(s, number), id.Group("")
		if g.parent != 0 {
			has = id.Group(loadGroup(s, g.parent).name)
		}
		if has != parent || g.description != cmd.Description {
			return nil, alreadyExists(fieldGroup, "group %s exists with another parent or description; neither can be changed by creating it again", name)
		}
		return &v1.CreateGroupReply{Position: s.Position(), Existed: true}, nil
	}
	if parent != "" {
		number, ok := findGroup(s, parent)
		if !ok {
			return nil, notFound(fieldParent, "there is no group %s; create it first", parent)
		}
		switch p := loadGroup(s, number); {
		case p.depth >= depthMax:
			return nil, limitExceeded(fieldParent, "group %s is at depth %d; groups nest at most %d deep", parent, p.depth, depthMax)
		case p.children >= childrenMax:
			return nil, limitExceeded(fieldParent, "group %s has %d direct children; at most %d are allowed", parent, p.children, childrenMax)
		}
	}
	s.Emit(&v1.Event{Event: &v1.Event_GroupCreated{GroupCreated: &v1.GroupCreated{
		Group:       string(name),
		Number:      s.Place().ID(),
		Parent:      string(parent),
		Description: cmd.Description,
	}}}, nil)
	return &v1.CreateGroupReply{Position: s.Position()}, nil
}
