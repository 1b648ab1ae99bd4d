package deploy

import (
	"io/fs"
	"strings"
	"testing"
)

func TestRenderReplacesEveryVariableOrSaysWhichItCannot(t *testing.T) {
	text, err := replace(`a: "${DROVER_A}" $aws {{partition(${DROVER_B},1)}} ${HOME}`, map[string]string{"A": "x y", "B": "7"})
	if want := `a: "x y" $aws {{partition(7,1)}} ${HOME}`; err != nil || text != want {
		t.Errorf("got %s, %v, want %s", text, err, want)
	}
	if _, err := replace("${DROVER_A}${DROVER_B}", map[string]string{"A": ""}); err == nil || !strings.Contains(err.Error(), "DROVER_B") {
		t.Errorf("no value for B: %v", err)
	}
	for _, bad := range []string{`x" y`, `x\`, "x\ny", "x\x00", "x\x7f"} {
		if text, err := replace(`"${DROVER_A}"`, map[string]string{"A": bad}); err == nil {
			t.Errorf("%q was let into %s", bad, text)
		}
	}
}

func TestOnlyWhatIsWantedIsIncluded(t *testing.T) {
	for _, c := range []struct {
		wanted []string
		tls    int
	}{{nil, 0}, {[]string{TLS}, 2}, {[]string{Cluster}, 0}, {[]string{TLS, Cluster, NodesTLS}, 3}} {
		text, err := read(Hub, c.wanted)
		if n := strings.Count(text, "cert_file:"); err != nil || n != c.tls {
			t.Errorf("%v: %d blocks of TLS, %v, want %d", c.wanted, n, err, c.tls)
		}
		if strings.Contains(text, "\ninclude") {
			t.Errorf("%v: an include is left", c.wanted)
		}
	}
}

// The files hold no secret: where a password stands, a variable stands.
func TestTheFilesHoldNoPassword(t *testing.T) {
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		file, err := files.ReadFile(name)
		for _, part := range strings.Split(string(file), "password: ")[1:] {
			if !strings.HasPrefix(part, `"${DROVER_`) {
				t.Errorf("%s: password: %.20s", name, part)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
