// Package house holds the rules of the house as tests: who may import whom, and what a pure package may not do.
// (design §10; a rule that changes is changed here and in ARCHITECTURE.md together)
package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/droverhq/drover"

// imports says which of our packages each of our packages may import. "x/..." is x and all below it. A package that
// is not listed may not exist: a new room is a line here and a line in ARCHITECTURE.md.
var imports = map[string][]string{
	"":                {"services/cli"},
	"proto/drover/v1": {},
	"proto/id":        {"proto/drover/v1"},

	"eventstore":                     {"proto/..."},
	"eventstore/memory":              {"eventstore"},
	"eventstore/jetstream":           {"eventstore", "proto/..."},
	"eventstore/eventstoretest":      {"eventstore", "proto/..."},
	"projections/kv":                 {},
	"projections/kv/kvtest":          {"projections/kv"},
	"projections/kv/pebble":          {"projections/kv"},
	"projections/tally":              {"proto/..."},
	"projections":                    {"eventstore", "proto/...", "projections/kv", "projections/jobs", "projections/executions", "projections/fleet", "projections/progress"},
	"projections/jobs":               {"projections/kv", "proto/...", "projections/page", "projections/progress"},
	"projections/executions":         {"projections/kv", "proto/...", "projections/page", "projections/jobs"},
	"projections/fleet":              {"projections/kv", "proto/...", "projections/page"},
	"projections/progress":           {"projections/kv", "proto/...", "projections/tally"},
	"projections/page":               {"projections/kv", "proto/..."},
	"services/core":                  {"proto/...", "projections/kv"},
	"services/core/coretest":         {"proto/...", "projections/kv", "services/core"},
	"services/job":                   {"proto/...", "projections/kv", "services/core", "services/job/document", "services/job/schedule", "services/job/template"},
	"services/job/template":          {"proto/...", "services/core", "services/job/document"},
	"services/job/schedule":          {"proto/..."},
	"services/job/document":          {},
	"services/targeting":             {"proto/...", "projections/kv", "services/core"},
	"services/rollout":               {"proto/...", "projections/kv", "projections/tally", "services/core"},
	"services/execution":             {"proto/...", "projections/kv", "services/core"},
	"services/host":                  {"eventstore", "projections/kv", "projections/tally", "proto/...", "services/core"},
	"services/bus":                   {"proto/..."},
	"services/intake":                {"proto/...", "services/bus"},
	"services/broker":                {"deploy"},
	"services/fronts/device":         {"proto/...", "services/bus", "services/job/document"},
	"services/fronts/inbox":          {"proto/...", "services/bus"},
	"services/fronts/feed":           {"eventstore", "proto/...", "services/bus"},
	"services/fronts/aws":            {"proto/...", "services/bus", "services/fronts/aws/..."},
	"services/fronts/aws/body":       {"proto/...", "services/job/document"},
	"services/fronts/aws/sigv4":      {},
	"services/fronts/aws/credential": {"eventstore", "eventstore/jetstream", "proto/...", "services/bus"},
	"services/fronts/topics":         {"proto/...", "services/bus", "services/fronts/feed"},
	"services/node":                  {"..."},
	"services/cli":                   {"proto/...", "services/node", "services/bus", "services/fronts/feed", "services/fronts/aws/...", "services/broker", "services/audit/...", "services/job/document", "loadtest/...", "eventstore/...", "projections/..."},
	"services/audit":                 {"eventstore", "proto/...", "projections/..."},
	"services/audit/invariants":      {"eventstore", "proto/...", "projections/...", "services/audit"},
	"services/sim":                   {"proto/...", "eventstore", "eventstore/memory", "projections/kv", "projections/tally", "services/core", "services/host", "services/job", "services/audit", "services/audit/invariants", "services/sim/stage"},
	"services/sim/stage":             {"proto/...", "eventstore", "eventstore/memory", "projections/kv", "projections/tally", "services/core", "services/host", "services/job", "services/targeting", "services/rollout", "services/execution"},
	"services/scenario":              {"proto/...", "eventstore", "projections", "projections/kv", "projections/jobs", "projections/executions", "projections/fleet", "services/core", "services/host", "services/job", "services/bus", "services/fronts/device", "services/sim/stage"},
	"services/house":                 {},
	"loadtest":                       {"proto/...", "services/bus", "loadtest/..."},
	"loadtest/agent":                 {},
	"loadtest/fleet":                 {"loadtest/agent"},
	"deploy":                         {},
}

// technologies may be imported by these packages only.
var technologies = map[string][]string{
	"github.com/nats-io/":         {"eventstore/jetstream", "services/bus", "services/broker", "services/fronts/device", "services/fronts/feed", "services/fronts/inbox", "services/fronts/topics", "services/fronts/aws/credential", "services/node", "services/cli", "loadtest", "loadtest/fleet"},
	"github.com/ThreeDotsLabs/":   {"services/fronts/feed", "services/fronts/inbox"},
	"github.com/cockroachdb/":     {"projections/kv/pebble"},
	"github.com/eclipse/":         {"loadtest/fleet"},
	"github.com/spf13/":           {"services/cli", "loadtest"},
	"github.com/prometheus/":      {"services/node"},
	"google.golang.org/protobuf/": {"proto/drover/v1", "services/core", "services/core/coretest", "services/host", "services/bus", "services/job", "services/job/document", "services/targeting", "services/rollout", "services/execution", "services/node", "services/cli", "services/audit", "services/sim", "services/sim/stage", "services/scenario", "services/fronts/device", "services/fronts/aws", "services/fronts/aws/body", "services/fronts/feed", "services/fronts/inbox", "eventstore", "projections", "projections/jobs", "projections/executions", "projections/fleet", "projections/progress", "projections/tally"},
}

// pure packages compute: no I/O, no clock, no randomness, no goroutine, no order of a map, no floats.
var pure = []string{
	"proto/id", "projections/tally", "services/core", "services/job", "services/job/document", "services/job/schedule", "services/job/template", "services/targeting",
	"services/rollout", "services/execution",
}

// A pure package may not import these. kv is pure too, but for the lock of its store in memory.
var impure = []string{"time", "os", "os/", "io", "io/", "net", "net/", "math/rand", "crypto/rand", "context", "sync", "sync/", "log", "log/", "runtime", "syscall", "unsafe"}

type source struct {
	pkg  string // relative to the root
	path string
	file *ast.File
}

func sources(t *testing.T) ([]source, *token.FileSet) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var all []source
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if filepath.Dir(rel) == "." && rel != "main.go" {
			t.Errorf("%s: main.go is the only Go file at the root", rel)
		}
		if strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(rel))
		if pkg == "." {
			pkg = ""
		}
		all = append(all, source{pkg, rel, file})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found %d files only", len(all))
	}
	return all, fset
}

func allowed(list []string, pkg string) bool {
	return slices.ContainsFunc(list, func(a string) bool {
		if base, ok := strings.CutSuffix(a, "..."); ok {
			return pkg == strings.TrimSuffix(base, "/") || strings.HasPrefix(pkg, base)
		}
		return a == pkg
	})
}

func TestImportsPointDownTheTable(t *testing.T) {
	all, _ := sources(t)
	for _, s := range all {
		may, listed := imports[s.pkg]
		if !listed {
			t.Errorf("package %q has no line in the import table", s.pkg)
			continue
		}
		for _, i := range s.file.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			if own, ok := strings.CutPrefix(path, module+"/"); ok {
				if !allowed(may, own) {
					t.Errorf("%s imports %s; %q may import %v", s.path, own, s.pkg, may)
				}
				continue
			}
			for tech, rooms := range technologies {
				if strings.HasPrefix(path, tech) && !slices.Contains(rooms, s.pkg) {
					t.Errorf("%s imports %s; only %v may", s.path, path, rooms)
				}
			}
		}
	}
	for pkg := range imports {
		if !slices.ContainsFunc(all, func(s source) bool { return s.pkg == pkg }) && pkg != "services/house" {
			t.Errorf("the import table has a line for %q, which does not exist", pkg)
		}
	}
}

func TestPurePackagesOnlyCompute(t *testing.T) {
	all, fset := sources(t)
	for _, pkg := range pure {
		maps := map[string]bool{}
		for _, s := range all {
			if s.pkg == pkg {
				collectMaps(s.file, maps)
			}
		}
		for _, s := range all {
			if s.pkg == pkg {
				for _, f := range impurities(s.file, maps) {
					t.Errorf("%s: %s", fset.Position(f.pos), f.what)
				}
			}
		}
	}
}

// The test that looks for impurities finds them.
func TestImpuritiesAreFound(t *testing.T) {
	const text = `package p
import "time"
type s struct{ rows map[string]int }
func f(x s) (y float64) {
	go f(x)
	for range x.rows {
	}
	select {}
}`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", text, 0)
	if err != nil {
		t.Fatal(err)
	}
	maps := map[string]bool{}
	collectMaps(file, maps)
	if found := impurities(file, maps); len(found) != 5 {
		t.Fatalf("found %d of 5: %v", len(found), found)
	}
}

type finding struct {
	pos  token.Pos
	what string
}

func impurities(file *ast.File, maps map[string]bool) []finding {
	var found []finding
	add := func(pos token.Pos, format string, args ...any) {
		found = append(found, finding{pos, fmt.Sprintf(format, args...)})
	}
	for _, i := range file.Imports {
		path, _ := strconv.Unquote(i.Path.Value)
		for _, bad := range impure {
			if path == bad || strings.HasSuffix(bad, "/") && strings.HasPrefix(path, bad) {
				add(i.Pos(), "imports %s", path)
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			add(n.Pos(), "starts a goroutine")
		case *ast.SelectStmt:
			add(n.Pos(), "selects")
		case *ast.ChanType:
			add(n.Pos(), "has a channel")
		case *ast.Ident:
			if n.Name == "float64" || n.Name == "float32" {
				add(n.Pos(), "has a float")
			}
		case *ast.RangeStmt:
			if name := lastName(n.X); maps[name] {
				add(n.Pos(), "ranges over the map %s", name)
			}
		}
		return true
	})
	return found
}

// collectMaps notes the names of fields, variables and parameters that are maps.
func collectMaps(file *ast.File, maps map[string]bool) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			if _, ok := n.Type.(*ast.MapType); ok {
				for _, name := range n.Names {
					maps[name.Name] = true
				}
			}
		case *ast.ValueSpec:
			if _, ok := n.Type.(*ast.MapType); ok {
				for _, name := range n.Names {
					maps[name.Name] = true
				}
			}
		case *ast.AssignStmt:
			for i, rhs := range n.Rhs {
				if i < len(n.Lhs) && makesMap(rhs) {
					maps[lastName(n.Lhs[i])] = true
				}
			}
		}
		return true
	})
	delete(maps, "")
}

func makesMap(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.CompositeLit:
		_, ok := e.Type.(*ast.MapType)
		return ok
	case *ast.CallExpr:
		if fn, ok := e.Fun.(*ast.Ident); ok && fn.Name == "make" && len(e.Args) > 0 {
			_, ok := e.Args[0].(*ast.MapType)
			return ok
		}
	}
	return false
}

func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// What stands at the root is what the house was given.
func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	given := []string{"services", "proto", "eventstore", "projections", "deploy", "loadtest", "docker-compose.yml", "Makefile", "go.mod", "go.sum", "README.md", "main.go", "ARCHITECTURE.md", "LICENSE", "buf.yaml", "bin"}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(given, e.Name()) {
			t.Errorf("%s has no place at the root", e.Name())
		}
	}
}
