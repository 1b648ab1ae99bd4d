package feed

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	watermillhttp "github.com/ThreeDotsLabs/watermill-http/v2/pkg/http"
	"github.com/ThreeDotsLabs/watermill/message"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/droverhq/drover/proto/id"
)

const (
	// requestMax is how long one request to a webhook may take, all in all.
	requestMax = 15 * time.Second
	// answerMax is how much of an answer is read, so that its connection can be used again.
	answerMax = 64 << 10
)

// statusError is an answer that is not 2xx.
type statusError int

func (e statusError) Error() string {
	return fmt.Sprintf("the receiver answered %d %s", int(e), http.StatusText(int(e)))
}

// errGone is how a receiver says that it wants no more.
const errGone = statusError(http.StatusGone)

// strict is a RoundTripper that makes everything but 2xx an error, and does not read more of an answer than it needs.
type strict struct {
	http.RoundTripper
	seen func(status int)
}

func (s strict) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := s.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	_, _ = io.CopyN(io.Discard, answer.Body, answerMax) // an answer that ends early or goes on is as good
	_ = answer.Body.Close()
	answer.Body = http.NoBody
	s.seen(answer.StatusCode)
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return nil, statusError(answer.StatusCode)
	}
	return answer, nil
}

// newPublisher makes Watermill's HTTP publisher of a webhook: each message is one signed request. A redirect is an answer
// that is not 2xx, and is not followed.
func newPublisher(w *Webhook, timeout time.Duration, seen func(status int)) (*watermillhttp.Publisher, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 1
	return watermillhttp.NewPublisher(watermillhttp.PublisherConfig{
		MarshalMessageFunc:                w.request,
		Client:                            &http.Client{Transport: strict{transport, seen}, Timeout: timeout},
		DoNotLogResponseBodyOnServerError: true,
	}, nil)
}

// request is an event as it is sent.
func (w *Webhook) request(url string, msg *message.Message) (*http.Request, error) {
	r, err := http.NewRequestWithContext(msg.Context(), http.MethodPost, url, bytes.NewReader(msg.Payload))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	// The id is signed together with what follows it, with dots between them: so it has none.
	number := strings.ReplaceAll(msg.UUID, ".", "-")
	var signatures []string
	for _, key := range w.keys {
		s, err := key.Sign(number, now, msg.Payload)
		if err != nil {
			return nil, err
		}
		signatures = append(signatures, s)
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("User-Agent", "drover")
	r.Header.Set(standardwebhooks.HeaderWebhookID, number)
	r.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	r.Header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return r, nil
}

// cause is why a request failed, without the URL, which may hold a secret.
func cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// Try sends a webhook one event of type drover.webhook.Checked, as its events are sent, and returns why it was not
// accepted.
func Try(ctx context.Context, w Webhook) error {
	if err := w.check(); err != nil {
		return err
	}
	p, err := newPublisher(&w, requestMax, func(int) {})
	if err != nil {
		return err
	}
	number := "check-" + rand.Text()[:12]
	event := append([]byte(`{"specversion":"1.0","id":"`+number+`","source":"urn:drover:webhook","type":"drover.webhook.Checked","time":"`),
		moment(time.Now().UnixMilli())...)
	event = append(event, `","datacontenttype":"application/json","data":{"webhook":"`+w.Name+`"}}`...)
	msg := message.NewMessage(number, event)
	msg.SetContext(ctx)
	if err := p.Publish(w.URL, msg); err != nil {
		return cause(err)
	}
	return nil
}

// eventID reads an event's id, which is all that delivery needs of it.
func eventID(data []byte) (string, error) {
	p, err := positionOf(data)
	if err != nil {
		return "", err
	}
	return (&record{log: id.LogOf(p), num: p.GetNumber(), index: int(p.GetEntry())}).id(), nil
}
