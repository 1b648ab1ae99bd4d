package feed

import (
	"maps"
	"testing"

	"pgregory.net/rapid"

	"github.com/droverhq/drover/proto/id"
)

func TestVectorsAreParsedByTheirTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := vector{}
		for _, log := range rapid.SliceOfN(rapid.SampledFrom(id.Logs(70)), 1, 80).Draw(t, "logs") {
			v[log] = place{number: rapid.Uint64().Draw(t, "number"), done: rapid.IntRange(0, 1<<16).Draw(t, "done"), prefix: rapid.Uint64().Draw(t, "prefix")}
		}
		got, err := parseVector(v.String())
		if err != nil || !maps.Equal(got, v) {
			t.Fatalf("%s\nis parsed as %s: %v", v, got, err)
		}
	})
}

func TestWhatIsNoVectorIsRefused(t *testing.T) {
	for _, bad := range []string{
		"", " ", "job@1", "job#0000000000000001", "job@1#1", "job@+1#0000000000000001", "job@1+#0000000000000001", "job@1+-1#0000000000000001",
		"job@01#0000000000000001", "nothing@1#0000000000000001", "job@1#0000000000000001 job@1#0000000000000001",
		"rollout@1#0000000000000001 job@1#0000000000000001", "job@1#0000000000000001 ", "job@18446744073709551616#0000000000000001", "execution@1#0000000000000001",
	} {
		if v, err := parseVector(bad); err == nil {
			t.Errorf("%q is parsed as %s", bad, v)
		}
	}
}

// A header that anybody may have written is taken if it is as the feeder writes it, or refused.
func FuzzVector(f *testing.F) {
	f.Add("job@12#00f3c1a2b4d5e6f7 targeting@0#0000000000000000 execution.0@811+300#9a00000000000000")
	f.Add("job@1#1")
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := parseVector(s); err == nil && v.String() != s {
			t.Errorf("%q is parsed as %s", s, v)
		}
	})
}
