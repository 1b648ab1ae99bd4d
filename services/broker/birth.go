package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// birth is what a hub's folder was born as: <data>/hub.json. It stays so, because JetStream would delete streams that it
// finds on the disk of a node and its cluster does not know, and would write to a replica by itself if its node were
// started alone.
type birth struct {
	// Name of the node: the others know its disk by it.
	Name string `json:"name"`
	// Cluster is empty for a hub of one.
	Cluster string `json:"cluster"`
	// Homes to which the mappings spread things.
	Homes uint32 `json:"homes"`
}

func birthFile(dir string) string { return filepath.Join(dir, "hub.json") }

// checkBirth refuses what a folder was not born as, and notes what a new one is. A crash just after it leaves the note and
// no stream; a start with other values is then refused until the note is removed.
func checkBirth(dir string, now birth) error {
	then, err := readBirth(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, "hub", "jetstream")); err == nil && now.Cluster != "" {
			return fmt.Errorf("%s is the folder of a hub of one node, and cannot become that of %s: take another folder", dir, now.kind())
		}
		text, err := json.Marshal(now)
		if err != nil {
			return err
		}
		return writeSecret(birthFile(dir), append(text, '\n'))
	}
	switch {
	case err != nil:
		return err
	case then.Name != now.Name:
		return fmt.Errorf("%s is the folder of node %q; as %q it would be another's: name it %s, or take another folder", dir, then.Name, now.Name, then.Name)
	case then.Cluster != now.Cluster:
		return fmt.Errorf("%s is the folder of %s, and cannot become that of %s: take another folder", dir, then.kind(), now.kind())
	case then.Homes != now.Homes:
		return fmt.Errorf("%s is the folder of a hub with %d homes, for life; %d were asked for", dir, then.Homes, now.Homes)
	}
	return nil
}

func (b birth) kind() string {
	if b.Cluster == "" {
		return "a hub of one node"
	}
	return fmt.Sprintf("a node of the cluster %q", b.Cluster)
}

// readBirth reads the note; fs.ErrNotExist if there is none.
func readBirth(dir string) (birth, error) {
	var b birth
	text, err := os.ReadFile(birthFile(dir))
	if err != nil {
		return b, err
	}
	if err := json.Unmarshal(text, &b); err != nil || b.Name == "" {
		return b, fmt.Errorf("%s is damaged: it names the node and the cluster that this folder belongs to", birthFile(dir))
	}
	return b, nil
}
