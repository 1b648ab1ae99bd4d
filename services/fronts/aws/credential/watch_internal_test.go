package credential

import "testing"

// A watch may tell what stood in the bucket before this process wrote to it.
func TestOldNewsIsPassedOver(t *testing.T) {
	s := &Store{keys: map[string]key{}}
	s.learn("a", record{CreatedMs: 1}, 2)
	s.learn("a", record{CreatedMs: 1, RevokedMs: 5}, 3)
	s.learn("a", record{CreatedMs: 1}, 2)
	if l := s.List(); len(l) != 1 || l[0].Revoked.IsZero() {
		t.Errorf("%+v", l)
	}
}
