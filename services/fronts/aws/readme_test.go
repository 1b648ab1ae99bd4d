package aws

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// README.md tells of every operation what the code does with it.
func TestReadmeListsTheOperationsAsTheyAre(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	instead := map[string]string{}
	for _, family := range absent {
		for _, o := range family.operations {
			name, _, _ := strings.Cut(o, " ")
			instead[name] = family.instead
		}
	}
	var want, have []string
	for _, o := range operations() {
		if o.absent {
			want = append(want, o.name+": "+instead[o.name])
		} else {
			want = append(want, o.name+": "+o.method+" /"+strings.Join(o.path, "/"))
		}
	}
	for _, row := range rowsBelow(t, string(text), "## Control plane: iot") {
		have = append(have, row[0]+": "+strings.Trim(row[1], "`"))
	}
	for _, row := range rowsBelow(t, string(text), "## Not offered") {
		for _, name := range strings.Split(row[0], ", ") {
			have = append(have, name+": "+row[1])
		}
	}
	slices.Sort(want)
	slices.Sort(have)
	for _, line := range want {
		if !slices.Contains(have, line) {
			t.Errorf("README.md does not have %s", line)
		}
	}
	for i, line := range have {
		if !slices.Contains(want, line) || i > 0 && line == have[i-1] {
			t.Errorf("README.md has %s, and that is not so, or stands there twice", line)
		}
	}
}

// rowsBelow are the cells of the table below a heading.
func rowsBelow(t *testing.T, text, heading string) (rows [][]string) {
	t.Helper()
	_, below, ok := strings.Cut(text, "\n"+heading+"\n")
	_, table, both := strings.Cut(below, "|---|")
	if !ok || !both {
		t.Fatalf("there is no table below %q", heading)
	}
	for _, line := range strings.Split(table, "\n")[1:] {
		if !strings.HasPrefix(line, "|") {
			break
		}
		var cells []string
		for _, cell := range strings.Split(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		rows = append(rows, cells)
	}
	return rows
}
