package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every operation of the bus has its command: it is called from this package, or it is listed here with who calls it.
func TestEveryOperationOfTheBusHasItsCommand(t *testing.T) {
	notOurs := map[string]string{
		"CheckTargets":      "intake asks it of targeting's owner when a job is created",
		"DescribeExecution": "a device asks it; execution describe asks the read model",
		"StartNext":         "a device asks it; drover simulate does, over the device protocol",
		"UpdateExecution":   "a device asks it; drover simulate does, over the device protocol",
	}
	used := operationsIn(t, ".")
	for _, op := range declaredOperations(t, filepath.Join("..", "bus", "operations.go")) {
		why, other := notOurs[op]
		if !used[op] && !other {
			t.Errorf("bus.%s has no command", op)
		}
		if used[op] && other {
			t.Errorf("bus.%s has a command, and is listed as another's: %s", op, why)
		}
	}
}

// declaredOperations are the package variables that a call of command, query and their like makes.
func declaredOperations(t *testing.T, file string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range f.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
			for _, s := range g.Specs {
				for _, n := range s.(*ast.ValueSpec).Names {
					names = append(names, n.Name)
				}
			}
		}
	}
	if len(names) < 50 {
		t.Fatalf("only %d operations were found in %s", len(names), file)
	}
	return names
}

// operationsIn are the names that the package takes from package bus.
func operationsIn(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "bus" {
					used[s.Sel.Name] = true
				}
			}
			return true
		})
	}
	return used
}
