package pebble

import (
	"bytes"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/droverhq/drover/projections/kv"
)

func TestAFolderOfTheSameVersionIsKeptAndAnyOtherIsEmptied(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "job")
	var said bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&said, nil))
	steps := []struct {
		what    string
		version string
		before  func() error
		rows    int
		says    string
	}{
		{"a new folder", "1", nil, 0, ""},
		{"the same version", "1", nil, 1, ""},
		{"a newer version", "2", nil, 0, "from=1 to=2"},
		{"the newer version again", "2", nil, 1, ""},
		{"an older version", "1", nil, 0, "from=2 to=1"},
		{"no version", "1", func() error { return os.Remove(filepath.Join(dir, versionFile)) }, 0, "from=none to=1"},
		{"rows that cannot be read", "2", func() error { return damage(dir) }, 0, "from=1 to=2"},
	}
	for _, s := range steps {
		if s.before != nil {
			if err := s.before(); err != nil {
				t.Fatalf("%s: %v", s.what, err)
			}
		}
		said.Reset()
		store, err := OpenVersion(dir, s.version, Options{Logger: logger})
		if err != nil {
			t.Fatalf("%s: %v", s.what, err)
		}
		if n := count(store); n != s.rows {
			t.Errorf("%s: %d rows, not %d", s.what, n, s.rows)
		}
		if line := said.String(); (line == "") != (s.says == "") || !strings.Contains(line, s.says) || s.says != "" && !strings.Contains(line, dir) {
			t.Errorf("%s: it says %q, not %q", s.what, line, s.says)
		}
		if v, err := Version(dir); v != s.version || err != nil {
			t.Errorf("%s: the folder says %q, %v", s.what, v, err)
		}
		write(t, store, 1)
		if err := store.Close(); err != nil {
			t.Fatalf("%s: %v", s.what, err)
		}
	}
}

// damage overwrites every file of a folder but its version.
func damage(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == versionFile {
			return err
		}
		return os.WriteFile(path, []byte("damaged"), 0o600)
	})
}

func TestAFolderThatIsOpenIsNotEmptied(t *testing.T) {
	mem := vfs.NewMem()
	open := openOn(t, mem, "state")
	write(t, open, 1)
	if _, err := OpenVersion("state", "2", Options{Logger: quiet(), fs: mem}); err == nil {
		t.Fatal("it was opened a second time")
	}
	if count(open) != 1 {
		t.Error("its rows are gone")
	}
}

// Wherever a crash comes while a folder goes from one version to the next, neither version finds rows of the other.
func TestAfterAnyCrashNoRowIsOfAnotherVersion(t *testing.T) {
	mem := vfs.NewCrashableMem()
	fill(t, mem, "1")
	rng := rand.New(rand.NewPCG(6, 7))
	var mu sync.Mutex
	var crashes []*vfs.MemFS
	crashing := errorfs.Wrap(mem, errorfs.InjectorFunc(func(errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		for _, percent := range []int{0, 50, 100} {
			crashes = append(crashes, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
		}
		return nil
	}))
	fill(t, crashing, "2")
	mu.Lock()
	defer mu.Unlock()
	found := map[string]int{}
	for i, crash := range crashes {
		version := []string{"1", "2"}[i/3%2]
		s, err := OpenVersion("state", version, Options{Logger: quiet(), fs: crash})
		if err != nil {
			t.Fatalf("crash %d of %d: %v", i, len(crashes), err)
		}
		for _, value := range s.Scan(nil, nil) {
			found[version]++
			if string(value) != version {
				t.Fatalf("crash %d of %d: version %s finds a row of version %s", i, len(crashes), version, value)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if found["1"] == 0 || found["2"] == 0 {
		t.Fatalf("%v rows were found after %d crashes: the test shows nothing", found, len(crashes))
	}
}

// fill opens the folder as a version, sets a row to it, and closes.
func fill(t *testing.T, on vfs.FS, version string) {
	t.Helper()
	s, err := OpenVersion("state", version, Options{Logger: quiet(), fs: on})
	if err != nil {
		t.Fatal(err)
	}
	b := s.NewBatch()
	b.Set(kv.NewKey('r').String(version), []byte(version))
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
