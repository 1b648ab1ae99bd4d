package credential_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/broker"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/credential"
)

// patience is for a machine that is slow and loaded.
const patience = 120 * time.Second

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// system is a hub on a folder.
type system struct {
	t   testing.TB
	hub *broker.Hub
	log *logged
}

func start(t testing.TB, dir string) *system { return startAt(t, dir, 0) }

func startAt(t testing.TB, dir string, port int) *system {
	t.Helper()
	hub, err := broker.StartHub(broker.HubConfig{Dir: dir, Homes: 1, NATSPort: port})
	must(t, err)
	t.Cleanup(hub.Close)
	return &system{t, hub, &logged{}}
}

func (s *system) connect(as func(string, ...nats.Option) (*nats.Conn, error)) *nats.Conn {
	s.t.Helper()
	nc, err := as("test", nats.Timeout(patience))
	must(s.t, err)
	s.t.Cleanup(nc.Close)
	return nc
}

// open opens the keys as one more process does.
func (s *system) open(change func(*credential.Config)) *credential.Store {
	s.t.Helper()
	c := credential.Config{
		Conn: s.connect(s.hub.Dialer().Connect), Replicas: 1, Seal: s.hub.Dialer().Auth.Seal,
		Logger: slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&c)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	store, err := credential.Open(ctx, c)
	must(s.t, err)
	s.t.Cleanup(store.Close)
	return store
}

// serve answers the operations from a store.
func (s *system) serve(store *credential.Store) *bus.Client {
	s.t.Helper()
	server, err := bus.NewServer(s.connect(s.hub.Dialer().ConnectFront), "http", "1.0.0")
	must(s.t, err)
	must(s.t, credential.Serve(server, store))
	nc, err := nats.Connect(s.hub.ClientURL(), nats.Timeout(patience))
	must(s.t, err)
	s.t.Cleanup(nc.Close)
	return bus.NewClient(nc)
}

// logged is what was logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for until := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("not after %v: %s", patience, what)
		}
	}
}

func wantRefusal(t testing.TB, err error, code v1.RefusalCode, says string) {
	t.Helper()
	var r *v1.Refusal
	if !errors.As(err, &r) || r.GetCode() != code || !strings.Contains(r.GetMessage(), says) {
		t.Errorf("%v; want %v … %s", err, code, says)
	}
}

func TestAKeyIsMadeUsedListedAndRevoked(t *testing.T) {
	ctx := context.Background()
	s := start(t, t.TempDir())
	here, there := s.open(nil), s.open(nil)

	c, secret, err := here.Create(ctx, "the CI's, ü")
	must(t, err)
	if !regexp.MustCompile(`^DROVER[A-Z2-7]{14}$`).MatchString(c.AccessKeyID) || !regexp.MustCompile(`^[A-Z2-7]{40}$`).MatchString(string(secret)) {
		t.Errorf("%s, a secret of %d", c.AccessKeyID, len(secret))
	}
	if got, ok := here.Secret(c.AccessKeyID); !ok || got != string(secret) {
		t.Error("who made it does not know it at once")
	}
	eventually(t, "the other process knows it", func() bool {
		got, ok := there.Secret(c.AccessKeyID)
		return ok && got == string(secret)
	})
	if got, ok := here.Secret("DROVERAAAAAAAAAAAAAA"); ok || got != "" {
		t.Error("a key that was never made has a secret")
	}

	other, _, err := there.Create(ctx, "")
	must(t, err)
	eventually(t, "both are listed, the oldest first", func() bool {
		l := here.List()
		return len(l) == 2 && l[0] == c && l[1] == other
	})

	revoked, err := there.Revoke(ctx, c.AccessKeyID)
	must(t, err)
	if revoked.Revoked.IsZero() || revoked.Description != c.Description || !revoked.Created.Equal(c.Created) {
		t.Errorf("%+v", revoked)
	}
	if _, ok := there.Secret(c.AccessKeyID); ok {
		t.Error("who revoked it lets it in")
	}
	eventually(t, "the other process refuses it", func() bool { _, ok := here.Secret(c.AccessKeyID); return !ok })
	if again, err := here.Revoke(ctx, c.AccessKeyID); err != nil || again != revoked {
		t.Errorf("revoked again: %+v, %v", again, err)
	}
	if _, ok := here.Secret(other.AccessKeyID); !ok {
		t.Error("the other key is gone too")
	}
	_, err = here.Revoke(ctx, "DROVERAAAAAAAAAAAAAA")
	wantRefusal(t, err, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "DROVERAAAAAAAAAAAAAA")
}

func TestBadInputMakesNothing(t *testing.T) {
	ctx := context.Background()
	store := start(t, t.TempDir()).open(nil)
	for _, description := range []string{strings.Repeat("ü", 129), "two\nlines", "\xff"} {
		_, _, err := store.Create(ctx, description)
		wantRefusal(t, err, v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "128")
	}
	// What is no id may be a secret that was pasted.
	for _, id := range []string{"", "x", "DROVER", "droveraaaaaaaaaaaaaa", "DROVERAAAAAAAAAAAAAA.x", "DROVER>AAAAAAAAAAAAA", strings.Repeat("A", 40)} {
		_, err := store.Revoke(ctx, id)
		wantRefusal(t, err, v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "DROVER")
		if len(id) > 6 && strings.Contains(err.Error(), id) {
			t.Errorf("the refusal repeats %s", id)
		}
	}
	if _, _, err := store.Create(ctx, strings.Repeat("ü", 128)); err != nil {
		t.Error(err)
	}
	if n := len(store.List()); n != 1 {
		t.Errorf("%d keys", n)
	}
}

func TestKeysSurviveARestartAndAnotherSealOpensNone(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := start(t, dir)
	store := s.open(nil)
	kept, secret, err := store.Create(ctx, "kept")
	must(t, err)
	gone, _, err := store.Create(ctx, "gone")
	must(t, err)
	gone, err = store.Revoke(ctx, gone.AccessKeyID)
	must(t, err)
	store.Close()
	s.hub.Close()

	s = start(t, dir)
	store = s.open(nil)
	if got, ok := store.Secret(kept.AccessKeyID); !ok || got != string(secret) {
		t.Error("a key was lost")
	}
	if _, ok := store.Secret(gone.AccessKeyID); ok {
		t.Error("a revoked key is back")
	}
	if l := store.List(); len(l) != 2 || l[0] != kept || l[1] != gone {
		t.Errorf("%+v", l)
	}
	if strings.Contains(s.log.String(), "seal") {
		t.Errorf("logged: %s", s.log)
	}

	other := s.open(func(c *credential.Config) { c.Seal = "another" })
	if _, ok := other.Secret(kept.AccessKeyID); ok {
		t.Error("another seal opens it")
	}
	if !strings.Contains(s.log.String(), kept.AccessKeyID) || strings.Contains(s.log.String(), gone.AccessKeyID) {
		t.Errorf("logged: %s", s.log)
	}
	if _, err := credential.Open(ctx, credential.Config{Conn: s.connect(s.hub.Dialer().Connect)}); err == nil || !strings.Contains(err.Error(), "drover secrets create") {
		t.Errorf("without a seal: %v", err)
	}
}

func TestTheKeysAreWatchedAgainAfterTheBrokerWasAway(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := start(t, dir)
	store := s.open(nil)
	kept, _, err := store.Create(ctx, "")
	must(t, err)
	address, err := url.Parse(s.hub.ClientURL())
	must(t, err)
	port, err := strconv.Atoi(address.Port())
	must(t, err)
	s.hub.Close()
	if _, ok := store.Secret(kept.AccessKeyID); !ok {
		t.Error("it forgets the keys while the broker is away")
	}
	s = startAt(t, dir, port)
	other := s.open(nil)
	made, _, err := other.Create(ctx, "")
	must(t, err)
	_, err = other.Revoke(ctx, kept.AccessKeyID)
	must(t, err)
	eventually(t, "it knows what happened since", func() bool {
		_, old := store.Secret(kept.AccessKeyID)
		_, new := store.Secret(made.AccessKeyID)
		return !old && new
	})
}

// bucketOf is the bucket as any client of the broker sees it.
func (s *system) bucketOf() js.KeyValue {
	s.t.Helper()
	api, err := js.New(s.connect(s.hub.Dialer().Connect))
	must(s.t, err)
	bucket, err := api.KeyValue(context.Background(), "drover-credentials")
	must(s.t, err)
	return bucket
}

func TestTheBucketIsKeptInFilesAndHoldsNoSecret(t *testing.T) {
	ctx := context.Background()
	s := start(t, t.TempDir())
	store := s.open(nil)
	a, secret, err := store.Create(ctx, "a")
	must(t, err)
	b, _, err := store.Create(ctx, "b")
	must(t, err)
	bucket := s.bucketOf()
	status, err := bucket.Status(ctx)
	must(t, err)
	if info := status.(*js.KeyValueBucketStatus).StreamInfo(); info.Config.Storage != js.FileStorage || info.Config.MaxAge != 0 {
		t.Errorf("%+v", info.Config)
	}
	e, err := bucket.Get(ctx, a.AccessKeyID)
	must(t, err)
	if bytes.Contains(e.Value(), []byte(secret)) || !bytes.Contains(e.Value(), []byte(`"sealed"`)) {
		t.Errorf("the secret lies open, or nowhere: %s", e.Value())
	}
	// A revoked key's secret is gone; and if an old one were put back beside it, it would open for nobody.
	c, _, err := store.Create(ctx, "c")
	must(t, err)
	sealed, err := bucket.Get(ctx, c.AccessKeyID)
	must(t, err)
	_, err = store.Revoke(ctx, c.AccessKeyID)
	must(t, err)
	left, err := bucket.Get(ctx, c.AccessKeyID)
	must(t, err)
	if bytes.Contains(left.Value(), []byte(`"sealed"`)) {
		t.Errorf("a revoked key keeps its secret: %s", left.Value())
	}
	back, err := bucket.Put(ctx, c.AccessKeyID, bytes.Replace(sealed.Value(), []byte(`"description":"c"`), []byte(`"description":"back","revokedMs":5`), 1))
	must(t, err)
	eventually(t, fmt.Sprintf("revision %d is read", back), func() bool {
		return slices.ContainsFunc(store.List(), func(have credential.Credential) bool { return have.Description == "back" })
	})
	if _, ok := store.Secret(c.AccessKeyID); ok {
		t.Error("a key that says it was revoked is let in")
	}
	must(t, bucket.Delete(ctx, c.AccessKeyID))
	// A sealed secret that is moved to another id opens for nobody.
	_, err = bucket.Put(ctx, b.AccessKeyID, e.Value())
	must(t, err)
	eventually(t, "the moved secret is refused", func() bool { _, ok := store.Secret(b.AccessKeyID); return !ok })
	// Nor does what is damaged; and what was deleted by hand is valid no more.
	_, err = bucket.Put(ctx, b.AccessKeyID, []byte("{"))
	must(t, err)
	must(t, bucket.Delete(ctx, a.AccessKeyID))
	eventually(t, "the deleted key is refused", func() bool { _, ok := store.Secret(a.AccessKeyID); return !ok })
	eventually(t, "nothing is listed", func() bool { return len(store.List()) == 0 })
	_, err = store.Revoke(ctx, a.AccessKeyID)
	wantRefusal(t, err, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, a.AccessKeyID)
}

func TestNothingThatIsPrintedShowsASecret(t *testing.T) {
	s := start(t, t.TempDir())
	store := s.open(nil)
	client := s.serve(store)
	reply, err := bus.CreateCredential.Call(context.Background(), client, &v1.CreateCredential{Description: "x"})
	must(t, err)
	secret := credential.Secret(reply.GetSecretAccessKey())
	inside := struct {
		Key    credential.Secret
		Stored *credential.Store
	}{secret, store}
	var text strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&text, verb+verb+verb, secret, &secret, inside)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&text, nil), slog.NewJSONHandler(&text, nil)} {
		slog.New(h).Info("x", "secret", secret, "inside", inside)
	}
	encoded, err := json.Marshal(map[string]any{"secret": secret})
	must(t, err)
	all := text.String() + string(encoded) + s.log.String()
	if plain := string(secret); strings.Contains(all, plain) || strings.Contains(all, fmt.Sprintf("%x", plain)) {
		t.Errorf("it shows: %s", all)
	}
	if !strings.Contains(s.log.String(), reply.GetCredential().GetAccessKeyId()) {
		t.Errorf("the log does not say which key was made: %s", s.log)
	}
}

func TestTheOperationsOfTheBus(t *testing.T) {
	ctx := context.Background()
	s := start(t, t.TempDir())
	store := s.open(nil)
	client := s.serve(store)
	var ids []string
	for i := range 5 {
		r, err := bus.CreateCredential.Call(ctx, client, &v1.CreateCredential{Description: fmt.Sprint(i)})
		must(t, err)
		id := r.GetCredential().GetAccessKeyId()
		if secret, ok := store.Secret(id); !ok || secret != r.GetSecretAccessKey() || r.GetCredential().GetCreatedAtMs() == 0 {
			t.Errorf("%v", r.GetCredential())
		}
		ids = append(ids, id)
	}
	r, err := bus.RevokeCredential.Call(ctx, client, &v1.RevokeCredential{AccessKeyId: ids[1]})
	if err != nil || r.GetCredential().GetRevokedAtMs() == 0 {
		t.Errorf("%v, %v", r, err)
	}
	_, err = bus.RevokeCredential.Call(ctx, client, &v1.RevokeCredential{AccessKeyId: "x"})
	wantRefusal(t, err, v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "DROVER")

	listed, revoked := map[string]bool{}, 0
	token := ""
	for range 3 {
		page, err := bus.ListCredentials.Call(ctx, client, &v1.ListCredentials{Page: &v1.Page{Limit: 2, Token: token}})
		must(t, err)
		for _, c := range page.GetCredentials() {
			listed[c.GetAccessKeyId()] = true
			if c.GetRevokedAtMs() != 0 {
				revoked++
			}
		}
		token = page.GetNextToken()
	}
	if len(listed) != 5 || revoked != 1 || token != "" {
		t.Errorf("%v, %d revoked, token %q", listed, revoked, token)
	}
	for _, page := range []*v1.Page{{Limit: 1001}, {Token: "x"}} {
		_, err := bus.ListCredentials.Call(ctx, client, &v1.ListCredentials{Page: page})
		wantRefusal(t, err, v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "")
	}
}

func TestAProfileIsWrittenOnceAndKept(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := start(t, filepath.Join(dir, "data"))
	store := s.open(nil)
	p := credential.Profile{Dir: filepath.Join(dir, "aws"), Region: "eu-central-1", Endpoint: "http://127.0.0.1:8080"}

	id, secret, err := store.WriteProfile(ctx, p)
	must(t, err)
	if got, ok := store.Secret(id); !ok || got != string(secret) {
		t.Errorf("%s is no key", id)
	}
	keys, config := read(t, p.CredentialsFile()), read(t, p.ConfigFile())
	if want := "[drover]\naws_access_key_id = " + id + "\naws_secret_access_key = " + string(secret) + "\n"; !strings.HasSuffix(keys, want) {
		t.Errorf("credentials:\n%s", keys)
	}
	if want := "[profile drover]\nregion = eu-central-1\nendpoint_url = http://127.0.0.1:8080\n"; !strings.HasSuffix(config, want) {
		t.Errorf("config:\n%s", config)
	}

	// Another start, on another port: only the endpoint changes.
	p.Endpoint = "http://127.0.0.1:9090"
	again := func() {
		t.Helper()
		if id, secret, err := store.WriteProfile(ctx, p); err != nil || id != "" || secret != "" {
			t.Errorf("again: %s, %v", id, err)
		}
	}
	again()
	if got := read(t, p.ConfigFile()); got != strings.Replace(config, "8080", "9090", 1) || read(t, p.CredentialsFile()) != keys {
		t.Errorf("config:\n%s", got)
	}

	// What an operator made his own stays.
	own := "[profile drover]\nendpoint_url = http://example.org\n"
	must(t, os.WriteFile(p.ConfigFile(), []byte(own), 0o600))
	must(t, os.WriteFile(p.CredentialsFile(), []byte("[drover]\n"), 0o600))
	again()
	if read(t, p.ConfigFile()) != own || read(t, p.CredentialsFile()) != "[drover]\n" {
		t.Error("a file that was not ours was changed")
	}

	// A file that a crash left unwritten is written, with the key that was made for it.
	must(t, os.Remove(p.CredentialsFile()))
	if got, _, err := store.WriteProfile(ctx, p); err != nil || got != id || read(t, p.CredentialsFile()) != keys {
		t.Errorf("after a crash: %s, %v", got, err)
	}
	// A key that was revoked gets no successor.
	_, err = store.Revoke(ctx, id)
	must(t, err)
	must(t, os.Remove(p.CredentialsFile()))
	again()
	if n := len(store.List()); n != 1 {
		t.Errorf("%d keys", n)
	}
	if _, err := os.Stat(p.CredentialsFile()); !os.IsNotExist(err) {
		t.Errorf("the file is there again: %v", err)
	}
}

// read is a file that only its owner may read.
func read(t *testing.T, file string) string {
	t.Helper()
	info, err := os.Stat(file)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("%s: mode %o", file, info.Mode().Perm())
	}
	text, err := os.ReadFile(file)
	must(t, err)
	return string(text)
}
