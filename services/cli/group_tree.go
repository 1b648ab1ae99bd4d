package cli

import (
	"context"
	"fmt"
	"strings"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

// groupNode is a group with those below it, as JSON shows a tree.
type groupNode struct {
	groupView
	Groups []*groupNode `json:"groups,omitempty"`
}

// printTree shows groups below their parents. A tree of groups is at most 7 deep. (specification §2.11)
func (a *app) printTree(ctx context.Context, q *v1.ListGroups) error {
	q.Recursive = q.Parent != ""
	var rows []*v1.GroupRow
	for {
		q.Page = &v1.Page{Limit: 1000, Token: q.GetPage().GetToken()}
		r, err := query(ctx, a, bus.ListGroups, q)
		if err != nil {
			return err
		}
		rows = append(rows, r.GetGroups()...)
		if q.Page.Token = r.GetNextToken(); q.Page.Token == "" {
			break
		}
	}
	roots := treeOf(rows)
	if a.json() {
		return a.printJSON(object{{"groups", roots}})
	}
	if len(roots) == 0 {
		fmt.Fprintln(a.err, "drover: there are none")
	}
	return a.printNodes(roots, 0)
}

// treeOf hangs groups below their parents; one whose parent is not among them is a root. The order is that of the rows.
func treeOf(rows []*v1.GroupRow) []*groupNode {
	nodes := map[string]*groupNode{}
	for _, g := range rows {
		v := viewGroup(g)
		v.Children = nil // they are below it
		nodes[v.GroupName] = &groupNode{groupView: v}
	}
	roots := []*groupNode{}
	for _, g := range rows {
		n := nodes[g.GetGroup()]
		if above := nodes[g.GetParent()]; above != nil {
			above.Groups = append(above.Groups, n)
		} else {
			roots = append(roots, n)
		}
	}
	return roots
}

func (a *app) printNodes(nodes []*groupNode, depth int) error {
	for _, n := range nodes {
		line := strings.Repeat("  ", depth) + n.GroupName
		if n.Description != "" {
			line += "  # " + shorten(n.Description, 60)
		}
		if _, err := fmt.Fprintln(a.out, line); err != nil {
			return err
		}
		if err := a.printNodes(n.Groups, depth+1); err != nil {
			return err
		}
	}
	return nil
}
