package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// system is what was decided when a data folder was born: <data>/system.json.
type system struct {
	// Format of the folder; this is 1.
	Format int `json:"format"`
	// Homes is fixed for life: a thing's home is its name's hash modulo this.
	Homes uint32 `json:"homes"`
	// LogsCreated is set once every log's stream exists. From then on a missing one is lost, not new.
	LogsCreated bool `json:"logsCreated"`
}

const formatNow = 1

// openSystem reads what the folder was born with, or decides it. wanted homes of 0 means: as many as there are
// cores; another number than the folder's is refused.
func openSystem(data string, wanted uint32) (system, error) {
	path := filepath.Join(data, "system.json")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		s := system{Format: formatNow, Homes: wanted}
		if s.Homes == 0 {
			s.Homes = uint32(runtime.NumCPU())
		}
		return s, s.write(data)
	}
	if err != nil {
		return system{}, err
	}
	var s system
	if err := json.Unmarshal(text, &s); err != nil || s.Homes == 0 {
		return system{}, fmt.Errorf("%s is damaged: restore it (the first entry of every log tells the number of homes)", path)
	}
	if s.Format != formatNow {
		return system{}, fmt.Errorf("%s has format %d; this version of drover knows %d", path, s.Format, formatNow)
	}
	if wanted != 0 && wanted != s.Homes {
		return system{}, fmt.Errorf("--homes %d: this folder was born with %d, for life", wanted, s.Homes)
	}
	return s, nil
}

// write replaces the file as a whole. A crash just after leaves the new one, or the old one.
func (s system) write(data string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(data, "system.json"), append(text, '\n'))
}

// writeFile replaces a file atomically and flushes it.
func writeFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
