package id_test

import (
	"testing"

	"github.com/droverhq/drover/proto/id"
)

// Ids that were told once are kept by whoever was told.
func TestIDsStayAsTheyWereTold(t *testing.T) {
	for have, want := range map[string]string{
		id.ThingID("lamp-1", 65536): "bae198b8-4718-8018-bcbc-8500fc960ad3",
		id.GroupID("hall", 65537):   "e029f249-6e69-8aca-92c2-1b4847233301",
	} {
		if have != want {
			t.Errorf("%s, want %s", have, want)
		}
	}
}

func TestIDsAreOfOneThing(t *testing.T) {
	ids := []string{id.ThingID("a", 1), id.ThingID("a", 2), id.ThingID("b", 1), id.GroupID("a", 1), id.GroupID("a", 2)}
	seen := map[string]bool{}
	for _, s := range ids {
		seen[s] = true
	}
	if len(seen) != len(ids) {
		t.Errorf("%v", ids)
	}
}
