package broker

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Auth holds the passwords of the hub's users (deploy/hub.conf says what each may do), and Cluster, by which the nodes of
// a hub know each other, and Seal, under which the secrets of access keys are kept (fronts/aws/credential). A process holds
// those that it needs; the others are empty.
type Auth struct {
	Service string `json:"service,omitempty"`
	Front   string `json:"front,omitempty"`
	Inbox   string `json:"inbox,omitempty"`
	HTTP    string `json:"http,omitempty"`
	Leaf    string `json:"leaf,omitempty"`
	Client  string `json:"client,omitempty"`
	System  string `json:"system,omitempty"`
	Cluster string `json:"cluster,omitempty"`
	Seal    string `json:"seal,omitempty"`
}

// users are the names of the users of hub.conf, and of cluster and seal, by the field that holds their password.
func (a *Auth) users() map[string]*string {
	return map[string]*string{
		"service": &a.Service, "front": &a.Front, "inbox": &a.Inbox, "http": &a.HTTP, "leaf": &a.Leaf,
		"client": &a.Client, "system": &a.System, "cluster": &a.Cluster, "seal": &a.Seal,
	}
}

// The kinds of files that CreateSecrets writes, and whose passwords stand in each: that of a user who does everything, a
// service's process, a leaf's, a client's.
var (
	HubUsers     = []string{"service", "front", "inbox", "http", "leaf", "client", "system", "cluster", "seal"}
	ServiceUsers = []string{"service", "front", "inbox", "http", "system", "seal"}
	LeafUsers    = []string{"leaf"}
	ClientUsers  = []string{"client"}
)

// only is the passwords of these users.
func (a Auth) only(users []string) Auth {
	var part Auth
	from, to := a.users(), part.users()
	for _, user := range users {
		*to[user] = *from[user]
	}
	return part
}

// ReadAuth reads a file of passwords, as CreateSecrets writes them. It refuses one that others may read, and one that
// lacks the password of one of these users.
func ReadAuth(file string, users ...string) (Auth, error) {
	var a Auth
	info, err := os.Stat(file)
	if err != nil {
		return a, fmt.Errorf("passwords: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return a, fmt.Errorf("%s holds passwords and others may read it: chmod 600 %s", file, file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return a, fmt.Errorf("passwords: %w", err)
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, fmt.Errorf("%s is not a file of passwords: %w", file, err)
	}
	for _, user := range users {
		if *a.users()[user] == "" {
			return a, fmt.Errorf("%s holds no password of the user %q; `drover secrets create` writes the files of the hub's nodes (hub.json), services (service.json), leafs (leaf.json) and clients (client.json), and adds what one of an earlier version lacks", file, user)
		}
	}
	return a, nil
}

// openAuth reads <data>/auth, and draws the passwords that are missing.
func openAuth(data string) (Auth, error) {
	file := filepath.Join(data, "auth")
	a, err := ReadAuth(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return a, err
	}
	if !a.draw() {
		return a, nil
	}
	return a, a.write(file)
}

// draw fills in the passwords that are missing, and says whether one was.
func (a *Auth) draw() (drew bool) {
	for _, password := range a.users() {
		if *password == "" {
			*password, drew = rand.Text()+rand.Text(), true // 260 bits: a key of 256 is made of Seal
		}
	}
	return drew
}

// fill copies those passwords of from that are missing, and says whether one was.
func (a *Auth) fill(from Auth) (filled bool) {
	have := from.users()
	for user, password := range a.users() {
		if *password == "" && *have[user] != "" {
			*password, filled = *have[user], true
		}
	}
	return filled
}

func (a Auth) write(file string) error {
	text, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	return writeSecret(file, append(text, '\n'))
}

// writeSecret replaces a file as a whole, mode 0600. A crash before the rename leaves the old file, or none, and a stray
// ".secret-…": the next start draws again, and nothing depends yet on a secret that was never used.
func writeSecret(file string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".secret-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return os.Rename(f.Name(), file)
}
