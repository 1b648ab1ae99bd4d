package cli

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/audit"
)

func faultsOf(t *testing.T, text string) ([]audit.Fault, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "faults")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return readFaults(path)
}

func TestFaultsAreReadLineByLine(t *testing.T) {
	faults, err := faultsOf(t, `
# what was done
1732312312345 kill -9 execution-1 logs=execution.0,execution.2 max=2s
1732312322345 restart the leaf for=4s
`)
	if err != nil || len(faults) != 2 {
		t.Fatalf("%v, %v", faults, err)
	}
	f := faults[0]
	if f.AtMs != 1732312312345 || f.What != "kill -9 execution-1" || f.Max != 2*time.Second || !slices.Equal(f.Logs, []id.Log{id.ExecutionLog(0), id.ExecutionLog(2)}) {
		t.Errorf("%+v", f)
	}
	if f = faults[1]; f.What != "restart the leaf" || f.Max != 0 || f.For != 4*time.Second || len(f.Logs) != 0 {
		t.Errorf("%+v", f)
	}
	for text, names := range map[string]string{
		"yesterday kill":             "line 1",
		"1 kill\n2 kill logs=nobody": "line 2",
		"1 kill max=2":               "max=2",
		"1 kill max=-2s":             "max=-2s",
		"1 kill for=2":               "for=2",
		"1 max=2s":                   "what was done",
		"2 kill\n1 kill":             "before the line above it",
	} {
		_, err := faultsOf(t, text)
		var usage usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), names) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAFaultIsOffIfALogStoodStillTooLongOrNobodyCanTell(t *testing.T) {
	limit := audit.Fault{AtMs: 1000, Max: 2 * time.Second}
	for _, c := range []struct {
		what string
		s    []audit.Standstill
		off  bool
	}{
		{"short", []audit.Standstill{{FromMs: 900, UntilMs: 2900}}, false},
		{"no longer than a pause before it allows", []audit.Standstill{{FromMs: 900, UntilMs: 3400, UsualMax: 500 * time.Millisecond}}, false},
		{"long", []audit.Standstill{{FromMs: 900, UntilMs: 1000}, {FromMs: 900, UntilMs: 2901}}, true},
		{"for ever", []audit.Standstill{{FromMs: 900}}, true},
		{"idle, and taken over in time", []audit.Standstill{{Idle: true, FromMs: 1000, UntilMs: 2000, OwnedMs: 2000}}, false},
		{"idle, and taken over late", []audit.Standstill{{Idle: true, FromMs: 1000, UntilMs: 4000, OwnedMs: 4000}}, true},
		{"idle", []audit.Standstill{{Idle: true, FromMs: 1000}}, true},
		{"nothing", nil, true},
	} {
		if off := tooLong(limit, c.s); (off != "") != c.off {
			t.Errorf("%s: %q", c.what, off)
		}
	}
}

func TestAVerdictNamesEverythingThatIsOff(t *testing.T) {
	v := auditView{
		Expectations: []expectView{{"SUCCEEDED", 950, 949}, {"FAILED", 50, 50}},
		Faults:       []faultView{{What: "kill", Off: "execution.0: 3s without reports"}},
		Journal:      &journalView{Unexcused: make([]sendingView, 2), Lost: make([]sendingView, 1)},
		Violations:   make([]violationView, 3),
	}
	err := v.verdict()
	for _, part := range []string{"not as expected: SUCCEEDED", "after kill: execution.0: 3s without reports", "2 reports went unanswered", "1 report never had", "break 3 rules"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not say %q", err, part)
		}
	}
	v = auditView{Expectations: v.Expectations[1:], Journal: v.Journal}
	if err := v.verdict(); err != nil {
		t.Errorf("reports that are open where no fault is known of: %v", err)
	}
}
