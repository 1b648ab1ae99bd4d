package credential

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// ProfileName is the profile that AWS's clients are given.
const ProfileName = "drover"

// Profile is where AWS's clients find their access key and this API: two files of their own format, mode 0600.
//
//	<Dir>/credentials  the access key   AWS_SHARED_CREDENTIALS_FILE
//	<Dir>/config       the endpoint     AWS_CONFIG_FILE
type Profile struct {
	Dir              string
	Region, Endpoint string // us-east-1, http://127.0.0.1:8080
}

// CredentialsFile is the file of the access key.
func (p Profile) CredentialsFile() string { return filepath.Join(p.Dir, "credentials") }

// ConfigFile is the file of the endpoint.
func (p Profile) ConfigFile() string { return filepath.Join(p.Dir, "config") }

const (
	// mark begins a file that WriteProfile may change.
	mark = "# Written by drover up; take this line away and it is yours.\n"
	// profileDescription is that of the profile's access key, by which it is found again.
	profileDescription = "drover up"
)

var endpointLine = regexp.MustCompile(`(?m)^endpoint_url *=.*$`)

// WriteProfile writes the files of p that are missing, and makes the access key for them if there never was one. It returns
// that key's id and secret if it wrote them now, else "". A file that is there stays, but for the endpoint in a config file
// that it wrote itself. A profile whose key was revoked gets no other.
//
// A crash after the key was made leaves it without a file, and the next call writes that: the secret is kept.
func (s *Store) WriteProfile(ctx context.Context, p Profile) (id string, secret Secret, err error) {
	if err := os.MkdirAll(p.Dir, 0o700); err != nil {
		return "", "", err
	}
	if _, err = os.Stat(p.CredentialsFile()); errors.Is(err, fs.ErrNotExist) {
		id, secret, err = s.profileKey(ctx)
		if err == nil && id != "" {
			err = writeFile(p.CredentialsFile(), fmt.Sprintf("%s[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", mark, ProfileName, id, string(secret)))
		}
	}
	if err != nil {
		return "", "", err
	}
	return id, secret, p.writeConfig()
}

// profileKey is the access key that is valid and was made for the profile, or a new one if none ever was; "" if it was
// revoked.
func (s *Store) profileKey(ctx context.Context) (id string, secret Secret, err error) {
	revoked := false
	for _, c := range s.List() {
		if c.Description != profileDescription {
			continue
		}
		if known, ok := s.Secret(c.AccessKeyID); ok {
			return c.AccessKeyID, Secret(known), nil
		}
		revoked = true
	}
	if revoked {
		return "", "", nil
	}
	c, secret, err := s.Create(ctx, profileDescription)
	return c.AccessKeyID, secret, err
}

// writeConfig writes the config file, or the endpoint in it.
func (p Profile) writeConfig() error {
	endpoint := "endpoint_url = " + p.Endpoint
	have, err := os.ReadFile(p.ConfigFile())
	if errors.Is(err, fs.ErrNotExist) {
		return writeFile(p.ConfigFile(), fmt.Sprintf("%s[profile %s]\nregion = %s\n%s\n", mark, ProfileName, p.Region, endpoint))
	}
	if err != nil || !strings.HasPrefix(string(have), mark) {
		return err
	}
	if text := endpointLine.ReplaceAllLiteralString(string(have), endpoint); text != string(have) {
		return writeFile(p.ConfigFile(), text)
	}
	return nil
}

// writeFile replaces a file as a whole, mode 0600. A crash leaves the old one, or the new one, and perhaps a stray ".new-…".
func writeFile(file, text string) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return os.Rename(f.Name(), file)
}
