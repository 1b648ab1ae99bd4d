package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

func healthCommand(a *app) *cobra.Command {
	var wait time.Duration
	c := &cobra.Command{
		Use:   "health [URL]",
		Short: "Ask a process whether it is ready",
		Long: fmt.Sprintf(`Asks a process's monitor whether it is ready, and says what it waits for if it is not. URL is where the monitor listens,
http://127.0.0.1:%d by default; its path is /readyz unless you give another: /healthz asks only whether the process
lives. With --wait it asks again until the process is ready, also one that does not listen yet.

Exit status 0 if it is ready, 1 if it is not, 4 if nobody answers. It needs no other program, so a container that holds
nothing but this one can check itself.`, monitorPort),
		Example: `  drover health
  drover health http://127.0.0.1:8301 --wait 30s`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			address := fmt.Sprintf("http://127.0.0.1:%d", monitorPort)
			if len(args) > 0 {
				address = args[0]
			}
			u, err := monitorURL(address)
			if err != nil {
				return usagef("%v", err)
			}
			return a.health(cmd.Context(), u, wait)
		},
	}
	c.Flags().DurationVar(&wait, "wait", 0, "for how long to ask again until it is ready")
	return c
}

// monitorURL is the address of a monitor, as it was typed, with the path of readiness if it has none.
func monitorURL(s string) (string, error) {
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("%.80q is no URL of a monitor: http://HOST:PORT is needed", s)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/readyz"
	}
	return u.String(), nil
}

// healthView is what a monitor answers on /readyz. Other paths answer 200 and no JSON.
type healthView struct {
	Ready      bool     `json:"ready"`
	WaitingFor []string `json:"waitingFor"`
}

func (a *app) health(ctx context.Context, address string, wait time.Duration) error {
	const again = 100 * time.Millisecond
	var v healthView
	var err error
	for until := time.Now().Add(wait); ; {
		v, err = a.askHealth(ctx, address)
		if err == nil && v.Ready || ctx.Err() != nil || time.Now().Add(again).After(until) {
			break
		}
		if err := pause(ctx, again); err != nil {
			return err
		}
	}
	if err != nil {
		return errors.Join(ctx.Err(), err)
	}
	if a.json() {
		err = a.printJSON(v)
	} else if v.Ready {
		_, err = fmt.Fprintln(a.out, "ready")
	}
	if err == nil && !v.Ready {
		err = fmt.Errorf("%s is not ready: it waits for %s", address, strings.Join(v.WaitingFor, "; "))
	}
	return err
}

func (a *app) askHealth(ctx context.Context, address string) (v healthView, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return v, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return v, unavailable("%v", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return v, unavailable("%s: %v", address, err)
	}
	v.Ready, v.WaitingFor = answer.StatusCode == http.StatusOK, []string{}
	_ = json.Unmarshal(text, &v) // other paths answer something else
	if !v.Ready && len(v.WaitingFor) == 0 {
		v.WaitingFor = append(v.WaitingFor, fmt.Sprintf("something that it does not name (%s)", answer.Status))
	}
	if answer.StatusCode == http.StatusNotFound {
		return v, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "url", "%s: this is no monitor of Drover's", address)
	}
	return v, nil
}
