package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/droverhq/drover/services/audit"
	"github.com/droverhq/drover/services/audit/invariants"
)

type verifiedView struct {
	Log     string `json:"log"`
	Commits uint64 `json:"commits"`
	Entries uint64 `json:"entries"`
	Bytes   uint64 `json:"bytes"`
	Foreign int    `json:"foreign"`
	Head    string `json:"head,omitempty"`
	Damage  string `json:"damage,omitempty"` // where reading stopped, and why
}

type verdictView struct {
	Logs       []verifiedView  `json:"logs"`
	Violations []violationView `json:"violations"`
}

type violationView struct {
	Rule string `json:"rule"`
	At   string `json:"at"`
	What string `json:"what"`
}

func auditLogVerify(a *app, from *logSource) *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Read every log whole, and hold it against the rules",
		Long: `Reads every log from its first commit to its last: no number is missing, every commit names the hash of the bytes before it,
and the end is the one that its owner remembers. Then it holds what the logs tell against the rules that are true of
every history: an execution ends once, its versions have no gap, every release ended in one fact, every count is a
recount. Exit status 1 if anything is wrong.`,
		Example: `  drover audit log verify --data /var/lib/drover`,
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := from.open(cmd.Context())
			if err != nil {
				return err
			}
			defer o.close()
			return a.verifyLogs(cmd.Context(), o)
		},
	}
}

func (a *app) verifyLogs(ctx context.Context, o *opened) error {
	v := verdictView{Violations: []violationView{}}
	var damage error
	for _, l := range o.logs {
		r, err := l.Verify(ctx, nil)
		if err == nil {
			err = o.checkHead(ctx, a.dataDir(), l)
		}
		row := verifiedView{Log: l.Name().String(), Commits: r.Commits, Entries: r.Entries, Bytes: r.Bytes, Foreign: len(r.Foreign)}
		if err == nil {
			row.Head = fmt.Sprintf("%d %s", r.Head.Number, r.Head.Hash)
		} else {
			row.Damage = err.Error()
		}
		v.Logs = append(v.Logs, row)
		damage = errors.Join(damage, err)
	}
	if damage != nil {
		// What a damaged log tells is held against nothing.
		if err := a.printVerdict(v); err != nil {
			return err
		}
		return damage
	}
	h, err := audit.Read(ctx, o.logs, nil)
	if err != nil {
		return err
	}
	found := invariants.Check(h)
	for _, f := range found {
		v.Violations = append(v.Violations, violationView{f.Rule, f.At, f.What})
	}
	if err = a.printVerdict(v); err == nil && len(found) > 0 {
		err = fmt.Errorf("the logs break %s", plural(len(found), "rule"))
	}
	return err
}

func (a *app) printVerdict(v verdictView) error {
	if a.json() {
		return a.printJSON(v)
	}
	l := list[verifiedView]{
		a: a, columns: []string{"LOG", "COMMITS", "EVENTS", "BYTES", "FOREIGN", "HEAD"},
		row: func(v verifiedView) []string {
			head := v.Head
			if v.Damage != "" {
				head = "DAMAGED"
			}
			return []string{v.Log, humanize.Comma(int64(v.Commits)), humanize.Comma(int64(v.Entries)), humanize.Comma(int64(v.Bytes)), fmt.Sprint(v.Foreign), head}
		},
	}
	if err := l.page(v.Logs); err != nil {
		return err
	}
	for _, l := range v.Logs {
		if l.Damage != "" {
			return nil // the errors follow on stderr
		}
	}
	for _, f := range v.Violations {
		fmt.Fprintf(a.out, "BROKEN  %s at %s: %s\n", f.Rule, f.At, f.What)
	}
	if len(v.Violations) > 0 {
		return nil
	}
	_, err := fmt.Fprintf(a.out, "every commit follows the one before it; all %d rules hold\n", len(invariants.Rules()))
	return err
}
