package cli

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

func partitionsCommand(a *app) *cobra.Command {
	var watch bool
	c := &cobra.Command{
		Use:   "partitions",
		Short: "Show which process owns which log",
		Long: `Shows every log: the process that owns it and since when, its epoch (how many owners it has had; each beyond the first is
a takeover), its last commit, how long ago the lease was renewed, and who stands by with how many commits left to fold.
A star marks the process that should own the log; another one hands it over once that one has stood by for a while. Then
every process, and what it waits for.

With --watch the table is shown again every second, with --output json one document a line, until Ctrl-C.`,
		Example: `  drover partitions
  drover partitions --watch`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if watch {
				return a.watchPartitions(cmd.Context())
			}
			r, err := ask(cmd.Context(), a, bus.ListPartitions, &v1.ListPartitions{})
			if err != nil {
				return err
			}
			if a.json() {
				return a.printJSON(viewPartitions(r))
			}
			return a.printPartitions(viewPartitions(r))
		},
	}
	c.Flags().BoolVarP(&watch, "watch", "w", false, "show it again every second")
	return c
}

func (a *app) watchPartitions(ctx context.Context) error {
	_, live := terminal(a.out)
	for {
		r, err := askPatiently(ctx, a, bus.ListPartitions, &v1.ListPartitions{})
		if err != nil {
			return err
		}
		v := viewPartitions(r)
		switch {
		case a.json():
			err = a.printLine(v)
		case live:
			fmt.Fprint(a.out, "\x1b[H\x1b[2J") // an empty screen
			err = a.printPartitions(v)
		default:
			fmt.Fprintln(a.out, moment(time.Now().UnixMilli()))
			err = a.printPartitions(v)
		}
		if err != nil {
			return err
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

type partitionsView struct {
	Partitions []partitionView `json:"partitions"`
	Members    []memberView    `json:"members"`
}

type partitionView struct {
	Log        string     `json:"log"`
	Owner      string     `json:"owner,omitempty"`
	Since      string     `json:"since,omitempty"`
	Epoch      uint64     `json:"epoch"`
	Takeovers  uint64     `json:"takeovers"`
	End        uint64     `json:"end"`
	LeaseAgeMs *uint64    `json:"leaseAgeMs,omitempty"`
	Members    []hostView `json:"members"`
}

type hostView struct {
	Member    string `json:"member"`
	State     string `json:"state"`
	Folded    uint64 `json:"folded"`
	Lag       uint64 `json:"lag"`    // commits of the log that it has not folded
	Behind    uint64 `json:"behind"` // upstream commits that it has read and not taken in
	Preferred bool   `json:"preferred"`
}

type memberView struct {
	Name       string   `json:"name"`
	Roles      []string `json:"roles"`
	Version    string   `json:"version,omitempty"`
	StartedAt  string   `json:"startedAt"`
	SeenMsAgo  uint64   `json:"seenMsAgo"`
	WaitingFor []string `json:"waitingFor"`
}

func viewPartitions(r *v1.ListPartitionsReply) partitionsView {
	v := partitionsView{Partitions: []partitionView{}, Members: []memberView{}}
	for _, p := range r.GetPartitions() {
		v.Partitions = append(v.Partitions, viewPartition(p))
	}
	for _, m := range r.GetMembers() {
		v.Members = append(v.Members, memberView{
			Name: m.GetName(), Roles: m.GetRoles(), Version: m.GetVersion(), StartedAt: moment(m.GetStartedAtMs()), SeenMsAgo: m.GetSeenMsAgo(),
			WaitingFor: append([]string{}, m.GetWaitingFor()...),
		})
	}
	return v
}

func viewPartition(p *v1.Partition) partitionView {
	v := partitionView{
		Log: id.Log{Service: p.GetService(), Home: id.Home(p.GetHome())}.String(), Owner: p.GetOwner(), Since: moment(p.GetSinceMs()),
		Epoch: p.GetEpoch(), Takeovers: p.GetEpoch() - min(p.GetEpoch(), 1), End: p.GetEnd(), Members: []hostView{},
	}
	if v.Owner != "" {
		age := p.GetLeaseAgeMs()
		v.LeaseAgeMs = &age
	}
	for _, m := range p.GetMembers() {
		v.Members = append(v.Members, hostView{
			Member: m.GetMember(), State: m.GetState(), Folded: m.GetFolded(), Lag: p.GetEnd() - min(p.GetEnd(), m.GetFolded()), Behind: m.GetBehind(),
			Preferred: m.GetPreferred(),
		})
	}
	return v
}

func (a *app) printPartitions(v partitionsView) error {
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "LOG\tOWNER\tSINCE\tEPOCH\tTAKEOVERS\tEND\tLEASE\tSTANDBYS")
	for _, p := range v.Partitions {
		age, owner := "-", orDash(p.Owner)
		if p.LeaseAgeMs != nil {
			age = fmt.Sprintf("%d ms", *p.LeaseAgeMs)
		}
		var standbys []string
		for _, m := range p.Members {
			if m.Member == p.Owner {
				if m.Preferred {
					owner += "*"
				}
				if m.State != "serving" {
					owner += " (" + m.State + ")"
				}
				continue
			}
			standbys = append(standbys, standbyText(m))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", p.Log, owner, orDash(p.Since), p.Epoch, p.Takeovers, humanize.Comma(int64(p.End)), age, orDash(strings.Join(standbys, ", ")))
	}
	fmt.Fprintln(w, "\nMEMBER\tROLES\tVERSION\tSTARTED\tSEEN\tWAITING FOR")
	for _, m := range v.Members {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d ms\t%s\n", m.Name, strings.Join(m.Roles, " "), orDash(m.Version), m.StartedAt, m.SeenMsAgo, orDash(strings.Join(m.WaitingFor, "; ")))
	}
	return w.Flush()
}

// standbyText is one that is not the owner: press-2*, press-3 (catching up), press-4 (12 behind).
func standbyText(m hostView) string {
	text := m.Member
	if m.Preferred {
		text += "*"
	}
	var notes []string
	if m.State != "standby" {
		notes = append(notes, m.State)
	}
	if m.Lag > 0 {
		notes = append(notes, humanize.Comma(int64(m.Lag))+" behind")
	}
	if len(notes) > 0 {
		text += " (" + strings.Join(notes, ", ") + ")"
	}
	return text
}
