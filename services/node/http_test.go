package node_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/broker"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/node"
)

// api is a client of AWS's API that does not sign.
type api struct {
	t      *testing.T
	url    string
	client *http.Client
}

// do sends a request, with the words of body as JSON if there is one, and returns what is answered.
func (a api) do(method, path, body string) (status int, answer string) {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	resp, err := a.client.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// must sends a request that is granted, and reads the answer into v.
func (a api) must(v any, method, path, body string) {
	a.t.Helper()
	status, answer := a.do(method, path, body)
	if status != http.StatusOK {
		a.t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal([]byte(answer), v); err != nil {
		a.t.Fatalf("%s %s: %s: %v", method, path, answer, err)
	}
}

// unsigned makes a configuration whose API lets anybody in.
func unsigned(cfg node.Config) node.Config {
	cfg.HTTP.NoAuth = true
	return cfg
}

func (m *member) api() api {
	return api{m.t, m.Endpoints().HTTP, http.DefaultClient}
}

func TestTheHTTPFrontIsNotOpenedByAccident(t *testing.T) {
	secrets := t.TempDir()
	if _, err := broker.CreateSecrets(secrets, nil); err != nil {
		t.Fatal(err)
	}
	crt, key := filepath.Join(secrets, "broker.crt"), filepath.Join(secrets, "broker.key")
	for name, c := range map[string]struct {
		listen   string
		insecure bool
		http     node.HTTP
		want     string // in the error
	}{
		"plain text":            {"0.0.0.0", false, node.HTTP{}, "plain text"},
		"plain text, IPv6":      {"::", false, node.HTTP{}, "plain text"},
		"by name":               {"api.example.org", false, node.HTTP{}, "plain text"},
		"unsigned":              {"0.0.0.0", true, node.HTTP{NoAuth: true}, "loopback only"},
		"unsigned and TLS":      {"0.0.0.0", false, node.HTTP{NoAuth: true, Cert: crt, Key: key}, "loopback only"},
		"a certificate alone":   {"127.0.0.1", false, node.HTTP{Cert: crt}, "its key"},
		"a key alone":           {"127.0.0.1", false, node.HTTP{Key: key}, "its key"},
		"a missing certificate": {"127.0.0.1", false, node.HTTP{Cert: "/nowhere/crt", Key: key}, "/nowhere/crt"},
	} {
		cfg := config(t.TempDir())
		cfg.Listen, cfg.Insecure, cfg.HTTP = c.listen, c.insecure, c.http
		cfg.Hub = &broker.Dialer{URLs: []string{"nats://127.0.0.1:1"}} // it does not come to that
		n, err := node.Start(t.Context(), cfg)
		if err == nil {
			_ = n.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Listeners speak TLS where they are given a certificate; one for the data plane alone knows no other.
func TestTheHTTPFrontSpeaksTLSAndGivesDevicesAListenerOfTheirOwn(t *testing.T) {
	c, secrets := startCluster(t), t.TempDir()
	if _, err := broker.CreateSecrets(secrets, nil); err != nil {
		t.Fatal(err)
	}
	cfg := unsigned(c.config("http", node.RoleHTTP))
	cfg.HTTP.Cert, cfg.HTTP.Key, cfg.HTTP.Data = filepath.Join(secrets, "broker.crt"), filepath.Join(secrets, "broker.key"), true
	m := c.startWith(cfg)
	ca, err := os.ReadFile(filepath.Join(secrets, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}
	defer transport.CloseIdleConnections()
	e := m.Endpoints()
	for _, c := range []struct{ url, path, want string }{
		{e.HTTP, "/nowhere", "UnknownOperationException"},
		{e.HTTP, "/jobs?colour=red", "InvalidRequestException"},                 // the control plane's to refuse
		{e.HTTP, "/iot-jobs-data/things/t/jobs", "ServiceUnavailableException"}, // nobody owns a home
		{e.HTTPData, "/things/t/jobs", "ServiceUnavailableException"},
		{e.HTTPData, "/jobs", "UnknownOperationException"},
	} {
		if !strings.HasPrefix(c.url, "https://") {
			t.Fatal(c.url)
		}
		r, err := (&http.Client{Transport: transport}).Get(c.url + c.path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		if got := r.Header.Get("x-amzn-ErrorType"); got != c.want {
			t.Errorf("%s: %d %s, want %s", c.path, r.StatusCode, got, c.want)
		}
	}
	if r, err := http.Get(e.HTTP + "/jobs"); err == nil {
		r.Body.Close()
		t.Error("a certificate that nobody trusts was taken")
	}
}

// lines are what a request log was told.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// What is asked is counted, and noted without what may be secret.
func TestRequestsAreCountedAndNoted(t *testing.T) {
	c, noted := startCluster(t), &lines{}
	cfg := unsigned(c.config("http", node.RoleHTTP))
	cfg.HTTP.RequestLog = slog.New(slog.NewJSONHandler(noted, nil))
	m := c.startWith(cfg)
	m.api().do(http.MethodPut, "/jobs/hidden-name?secret=query", `{"secret":"body"}`)
	m.api().do(http.MethodGet, "/iot-jobs-data/things/t/jobs", "")
	var metrics string
	eventually(t, "both are counted", func() bool {
		_, metrics = api{t, m.Endpoints().Monitor, http.DefaultClient}.do(http.MethodGet, "/metrics", "")
		return strings.Contains(metrics, `drover_http_requests_total{operation="CreateJob",status="400"} 1`) &&
			strings.Contains(metrics, `drover_http_requests_total{operation="iot-jobs-data:GetPendingJobExecutions",status="503"} 1`) &&
			strings.Contains(metrics, `drover_http_request_seconds_count{operation="CreateJob"} 1`)
	})
	eventually(t, "both are noted", func() bool { return strings.Count(noted.String(), "\n") == 2 })
	if text := noted.String(); strings.Contains(text, "secret") || strings.Contains(text, "hidden-name") {
		t.Errorf("the log holds what was sent:\n%s", text)
	}
	first, _, _ := strings.Cut(noted.String(), "\n")
	var line struct {
		Time, ID, Operation, Error, Remote string
		Status                             int
		Seconds                            float64
		AccessKeyID                        *string
	}
	if err := json.Unmarshal([]byte(first), &line); err != nil || line.Operation != "CreateJob" || line.Status != 400 ||
		line.Error != "InvalidRequestException" || line.Time == "" || line.ID == "" || line.Seconds <= 0 || !strings.HasPrefix(line.Remote, "127.0.0.1:") || line.AccessKeyID == nil {
		t.Errorf("%s: %v", first, err)
	}
}

// signed makes requests that an access key signs, for a service of AWS's.
func (a api) signed(keyID, secret, service string) api {
	a.client = &http.Client{Transport: signer{keyID, secret, service}}
	return a
}

// signer is AWS's own.
type signer struct{ keyID, secret, service string }

func (s signer) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	sum := sha256.Sum256(body)
	key := aws.Credentials{AccessKeyID: s.keyID, SecretAccessKey: s.secret}
	if err := v4.NewSigner().SignHTTP(r.Context(), key, r, hex.EncodeToString(sum[:]), s.service, "eu-west-1", time.Now()); err != nil {
		return nil, err
	}
	return http.DefaultTransport.RoundTrip(r)
}

// Two processes of the role know the same keys and give the same answers: what is written through one is read through the
// other, and a key that one revokes the other refuses.
func TestTwoHTTPProcessesAreOne(t *testing.T) {
	t.Parallel() // it waits
	c := startCluster(t)
	c.start("rest", node.RoleJob, node.RoleTargeting, node.RoleRollout, node.RoleExecution, node.RoleProjections)
	a, b := c.start("a", node.RoleHTTP), c.start("b", node.RoleHTTP)
	made, err := bus.CreateCredential.Call(t.Context(), c.client, &v1.CreateCredential{Description: "test"})
	if err != nil {
		t.Fatal(err)
	}
	keyID, secret := made.GetCredential().GetAccessKeyId(), made.GetSecretAccessKey()
	through := []api{a.api().signed(keyID, secret, "iot"), b.api().signed(keyID, secret, "iot")}
	for i, api := range through {
		eventually(t, "the key is known in process "+fmt.Sprint(i), func() bool {
			status, _ := api.do(http.MethodGet, "/endpoint?endpointType=iot:Jobs", "")
			return status != http.StatusForbidden
		})
	}
	for i := range 20 {
		thing := fmt.Sprintf("thing-%d", i)
		through[i%2].must(nil, http.MethodPost, "/things/"+thing, "{}")
		var read struct{ ThingName, ThingArn string }
		through[(i+1)%2].must(&read, http.MethodGet, "/things/"+thing, "")
		if read.ThingName != thing || read.ThingArn != "arn:aws:iot:eu-west-1:123456789012:thing/"+thing {
			t.Fatalf("written %s, read %+v", thing, read)
		}
	}
	through[0].must(nil, http.MethodPut, "/jobs/j", `{"targets":["arn:aws:iot:eu-west-1:123456789012:thing/thing-0"],"document":"{}"}`)
	device := b.api().signed(keyID, secret, "iot-jobs-data")
	eventually(t, "the device is offered the job", func() bool {
		var next struct{ Execution struct{ JobID string } }
		device.must(&next, http.MethodPut, "/things/thing-0/jobs/$next", "{}")
		return next.Execution.JobID == "j"
	})
	must(t)(bus.RevokeCredential.Call(t.Context(), c.client, &v1.RevokeCredential{AccessKeyId: keyID}))
	for i, api := range through {
		eventually(t, "the key is refused in process "+fmt.Sprint(i), func() bool {
			status, _ := api.do(http.MethodGet, "/endpoint?endpointType=iot:Jobs", "")
			return status == http.StatusForbidden
		})
	}
}

// A system of one process has an access key and a profile of AWS's clients from its first start on.
func TestASystemOfOneProcessWritesAProfile(t *testing.T) {
	data := t.TempDir()
	s := start(t, data)
	first := s.Profile()
	config, err := os.ReadFile(first.ConfigFile())
	if err != nil || first.MadeKey == "" || !strings.Contains(string(config), s.Endpoints().HTTP) {
		t.Fatalf("%+v\n%s%v", first, config, err)
	}
	keys, err := os.ReadFile(first.CredentialsFile())
	secret := regexp.MustCompile(`aws_secret_access_key = (\S+)`).FindStringSubmatch(string(keys))
	if err != nil || !strings.Contains(string(keys), first.MadeKey) || secret == nil {
		t.Fatalf("%s: %v", first.CredentialsFile(), err)
	}
	works := func() {
		t.Helper()
		if status, answer := (api{t: t, url: s.Endpoints().HTTP}).signed(first.MadeKey, secret[1], "iot").do(http.MethodGet, "/nowhere", ""); status != http.StatusNotFound {
			t.Errorf("a signed request: %d %s", status, answer)
		}
	}
	works()
	if status, answer := (api{t, s.Endpoints().HTTP, http.DefaultClient}).do(http.MethodGet, "/nowhere", ""); status != http.StatusForbidden {
		t.Errorf("a request that nobody signed: %d %s", status, answer)
	}
	s.stop()
	s = start(t, data)
	works()
	config, err = os.ReadFile(first.ConfigFile())
	if again := s.Profile(); err != nil || again.MadeKey != "" || !strings.Contains(string(config), s.Endpoints().HTTP+"\n") {
		t.Errorf("the second start: %+v, at %s\n%s%v", again, s.Endpoints().HTTP, config, err)
	}
}

// Under AWS's limits an operation that is asked for too often is throttled, as AWS says it, and others are not.
func TestAWSRatesAreKeptUnderAWSLimits(t *testing.T) {
	c := startCluster(t)
	cfg := unsigned(c.config("http", node.RoleHTTP))
	cfg.Limits = "aws"
	m := c.startWith(cfg)
	get := func(path string) (status int, name string) {
		resp, err := http.Get(m.Endpoints().HTTP + path)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		defer resp.Body.Close()
		return resp.StatusCode, resp.Header.Get("x-amzn-ErrorType")
	}
	eventually(t, "it is throttled", func() bool {
		var asked sync.WaitGroup
		var throttled atomic.Int64
		for range 40 { // at once: 10 a second are granted
			asked.Go(func() {
				if status, name := get("/endpoint?endpointType=iot:Jobs"); name == "ThrottlingException" && status == http.StatusBadRequest {
					throttled.Add(1)
				} else if status != http.StatusOK {
					t.Errorf("%d %s", status, name)
				}
			})
		}
		asked.Wait()
		return throttled.Load() > 0
	})
	if status, name := get("/jobs/none"); status != http.StatusServiceUnavailable { // no read models are here
		t.Errorf("another operation: %d %s", status, name)
	}
}
