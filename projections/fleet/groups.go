package fleet

import (
	"slices"
	"strings"

	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/page"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// depthMax bounds the way from a group to its root (specification §2.11).
const depthMax = 7

// ListGroups lists groups by name: those whose names begin with the prefix, and that are children of the parent, or with
// recursive anywhere below it.
func ListGroups(r kv.Reader, q *v1.ListGroups) (*v1.ListGroupsReply, error) {
	prefix, err := parsePrefix(q.GetPrefix(), id.ParseGroup)
	if err != nil {
		return nil, err
	}
	below := func(string) bool { return true }
	if q.GetParent() != "" {
		parent, err := parseGroup(r, "parentGroup", q.GetParent())
		if err != nil {
			return nil, err
		}
		if !q.GetRecursive() {
			return listChildren(r, parent, string(prefix), q.GetPage())
		}
		below = tree{r: r, top: parent, in: map[string]bool{}}.below
	}
	rows, next, err := page.List(r, append(kv.NewKey(tableGroup), prefix...), q.GetPage(), func(key, value []byte) (*v1.GroupRow, bool) {
		return groupRow(key, value), below(tail(key, 1))
	})
	return &v1.ListGroupsReply{Groups: rows, NextToken: next}, err
}

func listChildren(r kv.Reader, parent, prefix string, p *v1.Page) (*v1.ListGroupsReply, error) {
	from := kv.NewKey(tableChild).String(parent)
	rows, next, err := page.List(r, append(slices.Clone(from), prefix...), p, func(key, _ []byte) (*v1.GroupRow, bool) {
		child := groupKey(tail(key, len(from)))
		value, ok := r.Get(child)
		if !ok {
			return nil, false
		}
		return groupRow(child, value), true
	})
	return &v1.ListGroupsReply{Groups: rows, NextToken: next}, err
}

// tree says what is below a group.
type tree struct {
	r   kv.Reader
	top string
	in  map[string]bool // a memo, of groups that have children
}

func (t tree) below(group string) bool {
	parent := parentOf(t.r, group)
	if parent == "" || parent == t.top {
		return parent == t.top
	}
	in, known := t.in[parent]
	if !known {
		in = t.below(parent)
		t.in[parent] = in
	}
	return in
}

// DescribeGroup tells one group, how many direct members it has, its children, and what is above it.
func DescribeGroup(r kv.Reader, q *v1.DescribeGroup) (*v1.DescribeGroupReply, error) {
	name, err := parseGroup(r, fieldGroup, q.GetGroup())
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
	for parent := row.Parent; parent != "" && len(row.Ancestors) < depthMax; parent = parentOf(r, parent) {
		row.Ancestors = append(row.Ancestors, parent)
	}
	slices.Reverse(row.Ancestors)
	return &v1.DescribeGroupReply{Group: row}, nil
}

// ListThingsInGroup lists a group's direct members by name; with recursive, those of the groups below it too, group by
// group in order of their names. A thing is in one group of a tree at most.
func ListThingsInGroup(r kv.Reader, q *v1.ListThingsInGroup) (*v1.ListThingsInGroupReply, error) {
	name, err := parseGroup(r, fieldGroup, q.GetGroup())
	if err != nil {
		return nil, err
	}
	if q.GetRecursive() {
		return listBelow(r, name, q.GetPage())
	}
	from := membersKey(name, groupNumber(r, name))
	things, next, err := page.List(r, from, q.GetPage(), func(key, _ []byte) (string, bool) {
		return tail(key, len(from)), true
	})
	return &v1.ListThingsInGroupReply{Things: things, NextToken: next}, err
}

// listBelow reads a page of the members of a group and of all below it. The token names a member, or the group at which
// the page ended without one.
func listBelow(r kv.Reader, top string, p *v1.Page) (*v1.ListThingsInGroupReply, error) {
	limit, err := page.Limit(p)
	if err != nil {
		return nil, err
	}
	begin, err := page.Begin(kv.NewKey(tableMember), p.GetToken())
	if err != nil {
		return nil, err
	}
	reply := &v1.ListThingsInGroupReply{}
	below := tree{r: r, top: top, in: map[string]bool{}}.below
	looks, size := 0, 0
	var last kv.Key
	first, _ := kv.CutString(begin[1:])
	for key, value := range r.Scan(append(kv.NewKey(tableGroup), first...), kv.PrefixEnd(kv.NewKey(tableGroup))) {
		group := tail(key, 1)
		if looks++; looks > page.ScanMax {
			reply.NextToken = page.Token(last)
			return reply, nil
		}
		if group != top && !below(group) {
			last = kv.NewKey(tableMember).String(group).Uint(^uint64(0))
			continue
		}
		from := membersKey(group, page.Row[v1.GroupRow](value).Number)
		start := from
		if strings.Compare(string(begin), string(from)) > 0 {
			start = begin
		}
		for key := range r.Scan(start, kv.PrefixEnd(from)) {
			if len(reply.Things) == limit || size >= page.BytesMax || looks >= page.ScanMax {
				reply.NextToken = page.Token(last)
				return reply, nil
			}
			looks++
			thing := tail(key, len(from))
			reply.Things = append(reply.Things, thing)
			size += len(thing)
			last = append(last[:0], key...)
		}
	}
	return reply, nil
}

// parseGroup checks a group's name, and that there is such a group.
func parseGroup(r kv.Reader, field, s string) (string, error) {
	name, err := id.ParseGroup(s)
	if err != nil {
		return "", page.Invalid(field, err)
	}
	if _, ok := r.Get(groupKey(string(name))); !ok {
		return "", page.NotFound(field, "group", string(name))
	}
	return string(name), nil
}

func groupRow(key, value []byte) *v1.GroupRow {
	row := page.Row[v1.GroupRow](value)
	row.Group = tail(key, 1)
	return row
}
