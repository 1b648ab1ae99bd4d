package feed

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// Webhook is one receiver of events over HTTP.
//
// An event is a POST whose body is the CloudEvent, as it stands in the feed, signed as Standard Webhooks says
// (www.standardwebhooks.com): webhook-id is the event's id with "-" for its dots, and the same when it is sent again.
// An answer of 2xx is "done"; 410 is "send no more"; anything else, a redirect among it, and no answer within 15 s, is
// tried again after a growing while, for ever. Events come in the order of the feed, one at a time, each at least once:
// what is sent twice has the same id.
//
// The receiver's address is the operator's choice: whoever may write the file lets this process call any address that it
// can reach, so the file must not be made from what strangers send. (SSRF)
type Webhook struct {
	// Name is that of its durable consumer, which keeps its place: 1 to 64 of [a-zA-Z0-9_-].
	Name string `json:"name"`
	// URL is https, or http on this machine.
	URL string `json:"url"`
	// Secret signs: "whsec_" and base64 of 24 to 64 bytes. Previous signs too, while receivers change from one to the
	// other.
	Secret   string `json:"secret"`
	Previous string `json:"previousSecret,omitempty"`
	// Types ("ExecutionChanged"), jobs (ids) and things that are sent; none is all. An event must pass each of the three.
	Types  []string `json:"types,omitempty"`
	Jobs   []string `json:"jobs,omitempty"`
	Things []string `json:"things,omitempty"`
	// Start is where a webhook that is new begins: "new" (the default), "beginning", or behind a message: "feed@1234".
	Start string `json:"start,omitempty"`
	// AllowHTTP lets the URL be http beyond this machine: then anybody on the way reads the events.
	AllowHTTP bool `json:"allowHttp,omitempty"`

	keys []*standardwebhooks.Webhook
}

// filtersMax bounds the combinations of types and jobs of a webhook: each is a filter of its consumer.
const filtersMax = 100

// ReadWebhooks reads the file of `--webhooks`, and refuses what is wrong in it with the name of the field. It holds secrets,
// so nobody else may read it.
func ReadWebhooks(path string) ([]Webhook, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s holds secrets and others may read it: chmod 600 %s", path, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	hooks, err := ParseWebhooks(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return hooks, nil
}

// ParseWebhooks reads what stands in such a file:
//
//	{"webhooks": [{"name": "tickets", "url": "https://tickets.example/drover", "secret": "whsec_…", "types": ["JobCompleted"]}]}
func ParseWebhooks(text []byte) ([]Webhook, error) {
	var file struct {
		Webhooks []Webhook `json:"webhooks"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something behind the object")
	}
	if len(file.Webhooks) == 0 {
		return nil, errors.New("webhooks: there is none")
	}
	names := map[string]bool{}
	for i := range file.Webhooks {
		w := &file.Webhooks[i]
		if err := w.check(); err != nil {
			return nil, fmt.Errorf("webhooks[%d]: %w", i, err)
		}
		if names[w.Name] {
			return nil, fmt.Errorf("webhooks[%d]: name: %q is there twice", i, w.Name)
		}
		names[w.Name] = true
	}
	return file.Webhooks, nil
}

var webhookName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

func (w *Webhook) check() error {
	if !webhookName.MatchString(w.Name) {
		return fmt.Errorf("name: %.70q is not 1 to 64 of [a-zA-Z0-9_-]", w.Name)
	}
	if err := w.checkURL(); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	if err := w.checkSecrets(); err != nil {
		return err
	}
	if _, _, err := parseStart(w.Start); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	return w.checkFilter()
}

func (w *Webhook) checkURL() error {
	u, err := url.Parse(w.URL)
	switch {
	case err != nil:
		return errors.New("it cannot be parsed") // the error would show it, and what secrets it holds
	case u.Host == "" || u.Fragment != "":
		return errors.New("https://HOST[:PORT]/PATH is needed")
	case u.Scheme == "https":
		return nil
	case u.Scheme != "http":
		return fmt.Errorf("the scheme is %.20q; https is needed", u.Scheme)
	case w.AllowHTTP || isLoopback(u.Hostname()):
		return nil
	}
	return errors.New("it is http beyond this machine: anybody on the way would read the events; use https, or allow it with allowHttp")
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (w *Webhook) checkSecrets() error {
	w.keys = nil
	for _, f := range [...][2]string{{"secret", w.Secret}, {"previousSecret", w.Previous}} {
		field, secret := f[0], f[1]
		if secret == "" && field != "secret" {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil || len(raw) < 24 || len(raw) > 64 {
			return fmt.Errorf("%s: it is not whsec_ and base64 of 24 to 64 bytes; as in: echo whsec_$(head -c 32 /dev/urandom | base64)", field)
		}
		key, err := standardwebhooks.NewWebhookRaw(raw)
		if err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
		w.keys = append(w.keys, key)
	}
	return nil
}

func (w *Webhook) checkFilter() error {
	for _, name := range w.Types {
		if !slices.Contains(eventNames(), name) {
			return fmt.Errorf("types: there is no event %.60q; as in ExecutionChanged, JobCompleted", name)
		}
	}
	for _, job := range w.Jobs {
		if _, err := id.ParseJob(job); err != nil {
			return fmt.Errorf("jobs: %w", err)
		}
	}
	for _, thing := range w.Things {
		if _, err := id.ParseThing(thing); err != nil {
			return fmt.Errorf("things: %w", err)
		}
	}
	if n := max(1, len(w.Types)) * max(1, len(w.Jobs)); n > filtersMax {
		return fmt.Errorf("types and jobs make %d combinations; at most %d are allowed", n, filtersMax)
	}
	return nil
}

// eventNames lists all events.
func eventNames() (list []string) {
	fields := (*v1.Event)(nil).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		list = append(list, string(fields.Get(i).Message().Name()))
	}
	return list
}

// filters are the subjects in the stream that pass by type and job; none is all.
func (w *Webhook) filters() (list []string) {
	if len(w.Types) == 0 && len(w.Jobs) == 0 {
		return nil
	}
	any := []string{"*"}
	types, jobs := w.Types, w.Jobs
	if len(types) == 0 {
		types = any
	}
	if len(jobs) == 0 {
		jobs = any
	}
	for _, t := range types {
		for _, j := range jobs {
			list = append(list, subjectPrefix+"*."+t+"."+j)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// wants reports whether an event passes the filter. By type and job the server has filtered; but what it had handed out when
// the filter was changed, and was not told to be done, it hands out again whatever the filter is then. By thing it does not.
func (w *Webhook) wants(subject Subject, data []byte) (bool, error) {
	if len(w.Types) > 0 && !slices.Contains(w.Types, subject.Event) || len(w.Jobs) > 0 && !slices.Contains(w.Jobs, subject.Job) {
		return false, nil
	}
	if len(w.Things) == 0 || slices.Contains(w.Things, subject.Thing) {
		return true, nil
	}
	for _, thing := range w.Things {
		if named, err := names(subject, data, thing); err != nil || named {
			return named, err
		}
	}
	return false, nil
}

const startNew, startBeginning, startAfter = "new", "beginning", "feed@"

// parseStart reads Webhook.Start: behind a number, or, with 0, what it says.
func parseStart(s string) (what string, after uint64, err error) {
	switch s {
	case "", startNew:
		return startNew, 0, nil
	case startBeginning:
		return startBeginning, 0, nil
	}
	after, err = ParseNumber(s)
	if err != nil {
		err = fmt.Errorf("%.40q is none of new, beginning, feed@NUMBER", s)
	}
	return startAfter, after, err
}

// FormatNumber is a place in the feed as people write it: feed@1234.
func FormatNumber(n uint64) string { return startAfter + strconv.FormatUint(n, 10) }

// ParseNumber is the twin of FormatNumber.
func ParseNumber(s string) (uint64, error) {
	digits, ok := strings.CutPrefix(s, startAfter)
	n, err := strconv.ParseUint(digits, 10, 63)
	if !ok || err != nil {
		return 0, fmt.Errorf("%.40q is not feed@NUMBER", s)
	}
	return n, nil
}
