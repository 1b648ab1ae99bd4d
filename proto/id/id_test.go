package id_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/proto/id"
)

func TestANameThatWouldReachAnotherSubjectIsRefused(t *testing.T) {
	for _, s := range []string{"", ">", "*", "a.b", "a b", "a/b", "ä", strings.Repeat("x", 129), "arn:aws:iot:eu-central-1:1:job/j"} {
		if got, err := id.ParseThing(s); err == nil {
			t.Errorf("thing %q is %q", s, got)
		}
	}
	if _, err := id.ParseThing("ü"); err == nil || !strings.Contains(err.Error(), "'ü'") {
		t.Errorf("the character at fault is not shown: %v", err)
	}
	if got, err := id.ParseThing("arn:aws:iot:eu-central-1:1:thing/press-07"); got != "press-07" || err != nil {
		t.Errorf("an ARN: %q, %v", got, err)
	}
}

// What is parsed is written as it was read, and written again reads the same.
func FuzzPositionsAndLogs(f *testing.F) {
	for _, s := range []string{"job@1", "rollout@8123.4", "execution.3@7", "execution.3", "targeting", "job@0", "job@-1", "execution.@1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if l, err := id.ParseLog(s); err == nil {
			if again, err := id.ParseLog(l.String()); err != nil || again != l {
				t.Errorf("log %q: %v, then %v, %v", s, l, again, err)
			}
		}
		if p, err := id.ParsePosition(s); err == nil {
			if again, err := id.ParsePosition(id.FormatPosition(p)); err != nil || !proto.Equal(again, p) {
				t.Errorf("position %q: %v, then %v, %v", s, p, again, err)
			}
		}
	})
}

func FuzzTargets(f *testing.F) {
	for _, s := range []string{"thing/a", "group/b", "arn:aws:iot:x:1:thing/a", "arn:aws:iot:x:1:thinggroup/b", "thing/", "a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, err := id.ParseTarget(s)
		if err != nil {
			return
		}
		if again, err := id.ParseTarget(id.FormatTarget(target)); err != nil || !proto.Equal(again, target) {
			t.Errorf("target %q: %v, then %v, %v", s, target, again, err)
		}
	})
}
