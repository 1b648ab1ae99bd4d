package fleet

import (
	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/page"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// ListThings lists things by name, those whose names begin with the prefix if there is one.
func ListThings(r kv.Reader, q *v1.ListThings) (*v1.ListThingsReply, error) {
	prefix, err := parsePrefix(q.GetPrefix(), id.ParseThing)
	if err != nil {
		return nil, err
	}
	rows, next, err := page.List(r, append(kv.NewKey(tableThing), prefix...), q.GetPage(), func(key, value []byte) (*v1.ThingRow, bool) {
		return thingRow(key, value), true
	})
	return &v1.ListThingsReply{Things: rows, NextToken: next}, err
}

// DescribeThing tells one thing and its groups.
func DescribeThing(r kv.Reader, q *v1.DescribeThing) (*v1.DescribeThingReply, error) {
	name, err := id.ParseThing(q.GetName())
	if err != nil {
		return nil, page.Invalid("thingName", err)
	}
	key := thingKey(string(name))
	value, ok := r.Get(key)
	if !ok {
		return nil, page.NotFound("thingName", "thing", string(name))
	}
	row := thingRow(key, value)
	row.Groups = groupsOf(r, string(name))
	return &v1.DescribeThingReply{Thing: row}, nil
}

// ListGroups lists groups by name, those whose names begin with the prefix if there is one.
func ListGroups(r kv.Reader, q *v1.ListGroups) (*v1.ListGroupsReply, error) {
	prefix, err := parsePrefix(q.GetPrefix(), id.ParseGroup)
	if err != nil {
		return nil, err
	}
	rows, next, err := page.List(r, append(kv.NewKey(tableGroup), prefix...), q.GetPage(), func(key, value []byte) (*v1.GroupRow, bool) {
		return groupRow(key, value), true
	})
	return &v1.ListGroupsReply{Groups: rows, NextToken: next}, err
}

// DescribeGroup tells one group, how many direct members it has, and its children.
func DescribeGroup(r kv.Reader, q *v1.DescribeGroup) (*v1.DescribeGroupReply, error) {
	name, err := parseGroup(r, q.GetGroup())
	if err != nil {
		return nil, err
	}
	key := groupKey(name)
	value, _ := r.Get(key)
	row := groupRow(key, value)
	row.Members = memberCount(r, name)
	from := kv.NewKey(tableChild).String(name)
	for key := range r.Scan(from, kv.PrefixEnd(from)) {
		row.Children = append(row.Children, tail(key, len(from)))
	}
	return &v1.DescribeGroupReply{Group: row}, nil
}

// ListThingsInGroup lists a group's direct members by name.
func ListThingsInGroup(r kv.Reader, q *v1.ListThingsInGroup) (*v1.ListThingsInGroupReply, error) {
	name, err := parseGroup(r, q.GetGroup())
	if err != nil {
		return nil, err
	}
	from := kv.NewKey(tableMember).String(name)
	things, next, err := page.List(r, from, q.GetPage(), func(key, _ []byte) (string, bool) {
		return tail(key, len(from)), true
	})
	return &v1.ListThingsInGroupReply{Things: things, NextToken: next}, err
}

// parseGroup checks a group's name, and that there is such a group.
func parseGroup(r kv.Reader, s string) (string, error) {
	name, err := id.ParseGroup(s)
	if err != nil {
		return "", page.Invalid("thingGroupName", err)
	}
	if _, ok := r.Get(groupKey(string(name))); !ok {
		return "", page.NotFound("thingGroupName", "group", string(name))
	}
	return string(name), nil
}

// parsePrefix reads what names begin with: nothing, or what could be a name, or the ARN of one.
func parsePrefix[N ~string](prefix string, parse func(string) (N, error)) (N, error) {
	if prefix == "" {
		return "", nil
	}
	name, err := parse(prefix)
	if err != nil {
		return "", page.Invalid("namePrefixFilter", err)
	}
	return name, nil
}

func thingRow(key, value []byte) *v1.ThingRow {
	row := page.Row[v1.ThingRow](value)
	row.Name = tail(key, 1)
	return row
}

func groupRow(key, value []byte) *v1.GroupRow {
	row := page.Row[v1.GroupRow](value)
	row.Group = tail(key, 1)
	return row
}
