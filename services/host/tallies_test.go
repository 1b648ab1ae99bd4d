package host

import (
	"fmt"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// What a core observes is in the order in which it was decided, in which no home's log is turned round.
func TestAGulpIsInTheOrderOfDeciding(t *testing.T) {
	g := &gulp{about: map[jobAt]struct{}{}}
	for _, c := range []struct {
		home   uint32
		number uint64
		atMs   int64
	}{{1, 4, 20}, {1, 5, 30}, {1, 6, 30}, {0, 7, 10}, {0, 8, 20}, {0, 9, 30}, {2, 1, 25}} {
		g.add(c.home, c.number, c.atMs, []*v1.Tally{{Job: 7}})
	}
	got := ""
	for _, x := range g.inOrder() {
		got += fmt.Sprint(x.Home, "@", x.UpTo, " ")
	}
	if want := "0@7 0@8 1@4 2@1 0@9 1@5 1@6 "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAGulpIsBounded(t *testing.T) {
	jobs := func(from, n int) (list []*v1.Tally) {
		for i := range n {
			list = append(list, &v1.Tally{Job: uint64(from + i)})
		}
		return list
	}
	for _, c := range []struct {
		name  string
		given func(g *gulp)
		more  int
		want  bool
	}{
		{"an empty one takes any", func(g *gulp) {}, talliesMax + 1, false},
		{"as many jobs as fit", func(g *gulp) { g.add(0, 1, 1, jobs(0, gulpMax-1)) }, 1, false},
		{"one job more", func(g *gulp) { g.add(0, 1, 1, jobs(0, gulpMax)) }, 1, true},
		{"nothing more", func(g *gulp) { g.add(0, 1, 1, jobs(0, gulpMax+1)) }, 0, false},
		{"the same jobs over and over", func(g *gulp) {
			for n := range uint64(talliesMax/100 - 1) {
				g.add(0, n, 1, jobs(0, 100))
			}
		}, 100, false},
		{"too often", func(g *gulp) {
			for n := range uint64(talliesMax / 100) {
				g.add(0, n, 1, jobs(0, 100))
			}
		}, 1, true},
	} {
		g := &gulp{about: map[jobAt]struct{}{}}
		c.given(g)
		if got := g.full(c.more); got != c.want {
			t.Errorf("%s: full %v", c.name, got)
		}
	}
}
