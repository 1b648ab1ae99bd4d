// Package credential keeps the access keys by which requests to AWS's API are signed.
//
// A key is an id, which everybody may know, and a secret, which is told once, when the key is made. The secret is kept,
// since a signature cannot be checked without it: sealed with AES-256-GCM, bound to its id, under a key that is in the
// processes' file of passwords and never in the broker. Whoever reads the broker's disk or its streams has no secret; whoever
// reads both has all. A Store holds the secrets sealed in memory too, and no log line or error names one.
//
// It promises that a key that was made is there after any crash; that a key that was revoked is refused for good, by this
// process at once and by every other within a moment, or 5 s if a notice was lost with a broker; and that it is listed ever
// after, while its secret is gone. It leaves what a signature is to fronts/aws/sigv4, and the broker to eventstore/jetstream.
//
//	drover-credentials  the KV bucket, in the account of the logs; its keys are the ids, its values records
package credential

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/jetstream"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

const (
	// idPrefix begins every access key's id, so that it is known for what it is where it should not be.
	idPrefix     = "DROVER"
	idLength     = 20
	secretLength = 40 // of 5 random bits each

	descriptionMax = 128
	// validMax is how many keys may be valid at once.
	validMax = 1000
)

var idForm = regexp.MustCompile(fmt.Sprintf("^%s[A-Z2-7]{%d}$", idPrefix, idLength-len(idPrefix)))

// Config is what a Store needs.
type Config struct {
	// Conn is a connection of the hub's user `service`. It stays the caller's.
	Conn *nats.Conn
	// Replicas is on how many servers the keys are kept: 1 or 3, as the logs. It counts when they are made first.
	Replicas int
	// Seal is broker.Auth's: the same in every process, for the life of the system.
	Seal string
	// Logger is told of keys that cannot be read; nil is nobody.
	Logger *slog.Logger
}

// Credential is an access key without its secret.
type Credential struct {
	AccessKeyID string
	Description string
	Created     time.Time
	Revoked     time.Time // zero while it is valid
}

// Store is the access keys of a system. It is safe for concurrent use; any number of processes may have one.
type Store struct {
	registers eventstore.Registers
	bucket    js.KeyValue
	seal      cipher.AEAD
	log       *slog.Logger
	stop      context.CancelFunc
	stopped   chan struct{}

	mu   sync.RWMutex
	keys map[string]key // by id
}

// key is what is known of an access key; revision is that of its register.
type key struct {
	record
	revision uint64
}

// record is the value of a key's register.
type record struct {
	Description string `json:"description,omitempty"`
	CreatedMs   int64  `json:"createdMs"`
	RevokedMs   int64  `json:"revokedMs,omitempty"`
	// Sealed is the secret: a random nonce and what AES-256-GCM makes of it, the id being the additional data. A revoked
	// key has none.
	Sealed []byte `json:"sealed,omitempty"`
}

func (r record) credential(id string) Credential {
	c := Credential{AccessKeyID: id, Description: r.Description, Created: time.UnixMilli(r.CreatedMs)}
	if r.RevokedMs != 0 {
		c.Revoked = time.UnixMilli(r.RevokedMs)
	}
	return c
}

// Open makes the bucket if it is missing, and returns when every key is known.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	seal, err := openSeal(c.Seal)
	if err != nil {
		return nil, err
	}
	registers, err := jetstream.CreateRegisters(ctx, c.Conn, jetstream.Credentials, c.Replicas)
	if err != nil {
		return nil, err
	}
	api, err := js.New(c.Conn)
	if err != nil {
		return nil, err
	}
	bucket, err := api.KeyValue(ctx, string(jetstream.Credentials))
	if err != nil {
		return nil, fmt.Errorf("access keys: %w", err)
	}
	s := &Store{registers: registers, bucket: bucket, seal: seal, log: c.Logger, stopped: make(chan struct{}), keys: map[string]key{}}
	running, stop := context.WithCancel(context.Background())
	s.stop = stop
	known := make(chan struct{})
	go s.run(running, known)
	select {
	case <-known:
		return s, nil
	case <-ctx.Done():
		s.Close()
		return nil, fmt.Errorf("access keys: they could not be read in time: %w", ctx.Err())
	}
}

// Close ends the watch.
func (s *Store) Close() {
	s.stop()
	<-s.stopped
}

// Secret is the secret of an access key; false if the key is unknown, was revoked, or cannot be read.
func (s *Store) Secret(id string) (string, bool) {
	s.mu.RLock()
	k, known := s.keys[id]
	s.mu.RUnlock()
	if !known || k.RevokedMs != 0 {
		return "", false
	}
	secret, err := s.open(id, k.Sealed)
	return string(secret), err == nil
}

// List is every access key, the oldest first.
func (s *Store) List() []Credential {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]Credential, 0, len(s.keys))
	for id, k := range s.keys {
		if k.CreatedMs != 0 {
			list = append(list, k.credential(id))
		}
	}
	slices.SortFunc(list, func(a, b Credential) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.AccessKeyID, b.AccessKeyID)
	})
	return list
}

// Create makes an access key. It is no command that can be repeated: a crash before its answer has arrived leaves a key
// whose secret nobody was told. It is listed, and should be revoked.
func (s *Store) Create(ctx context.Context, description string) (Credential, Secret, error) {
	if err := checkDescription(description); err != nil {
		return Credential{}, "", err
	}
	if n := s.valid(); n >= validMax {
		return Credential{}, "", v1.Refuse(v1.RefusalCode_REFUSAL_CODE_LIMIT_EXCEEDED, "", "there are %d valid access keys, as many as are allowed; revoke one first", n)
	}
	id := idPrefix + rand.Text()[:idLength-len(idPrefix)]
	secret := (rand.Text() + rand.Text())[:secretLength]
	r := record{Description: description, CreatedMs: time.Now().UnixMilli(), Sealed: s.seal.Seal(nil, nil, []byte(secret), []byte(id))}
	if err := s.set(ctx, id, r, 0); err != nil {
		return Credential{}, "", v1.Refuse(v1.RefusalCode_REFUSAL_CODE_OUTCOME_UNKNOWN, "", "the access key %s may have been made, and nobody knows its secret; if it is listed, revoke it: %v", id, err)
	}
	return r.credential(id), Secret(secret), nil
}

// Revoke ends a key for good, and forgets its secret. One that was revoked before stays as it is.
func (s *Store) Revoke(ctx context.Context, id string) (Credential, error) {
	if !idForm.MatchString(id) {
		return Credential{}, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "accessKeyId", "it is not the id of an access key: %d letters and digits, the first of them %s", idLength, idPrefix)
	}
	for {
		r, revision, err := s.get(ctx, id)
		if errors.Is(err, eventstore.ErrNoRegister) {
			return Credential{}, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "accessKeyId", "there is no access key %s", id)
		}
		if err != nil {
			return Credential{}, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "%v", err)
		}
		if r.RevokedMs != 0 {
			s.learn(id, r, revision)
			return r.credential(id), nil
		}
		r.RevokedMs, r.Sealed = time.Now().UnixMilli(), nil
		err = s.set(ctx, id, r, revision)
		if err == nil {
			return r.credential(id), nil
		}
		if !errors.Is(err, eventstore.ErrRevision) {
			return Credential{}, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_OUTCOME_UNKNOWN, "", "the access key %s may be valid still: revoke it again: %v", id, err)
		}
	}
}

// valid is how many keys are.
func (s *Store) valid() (n int) {
	for _, c := range s.List() {
		if c.Revoked.IsZero() {
			n++
		}
	}
	return n
}

// get reads a key where it is written.
func (s *Store) get(ctx context.Context, id string) (r record, revision uint64, err error) {
	reg, err := s.registers.Get(ctx, id)
	if err != nil {
		return r, 0, err
	}
	return r, reg.Revision, json.Unmarshal(reg.Value, &r)
}

// set writes a key, and knows it from then on.
func (s *Store) set(ctx context.Context, id string, r record, revision uint64) error {
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	revision, err = s.registers.Set(ctx, id, value, revision)
	if err == nil {
		s.learn(id, r, revision)
	}
	return err
}

func checkDescription(text string) error {
	if n := utf8.RuneCountInString(text); n > descriptionMax || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "description", "it has %d characters; up to %d are allowed, without line ends and tabs", n, descriptionMax)
	}
	return nil
}
