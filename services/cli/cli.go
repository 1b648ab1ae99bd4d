// Package cli is the program drover: one file a command.
//
// It promises that every command asks the system over the bus, or reads a stopped one's folder, and never both; that
// what a command prints on stdout is its result, as a table or as JSON of a stable shape (drover help output), and
// everything else goes to stderr; that an error names the field at fault and what would be right, and that its exit
// status says which kind it is (exit.go). It holds no rule of jobs: those are the cores', and a refusal is theirs.
package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/services/bus"
)

// app is one run of the program: its streams, its global flags, and the connection once a command has asked for one.
type app struct {
	in       io.Reader
	out, err io.Writer

	server    string        // --server; empty: DROVER_SERVER, then the endpoints file
	creds     string        // --creds; empty: DROVER_CREDS, then no name
	tlsCA     string        // --tls-ca; empty: DROVER_TLS_CA, then what this machine trusts
	data      string        // --data; empty: the default folder
	output    string        // --output: table or json
	timeout   time.Duration // --timeout: of one request
	commandID string        // --command-id; empty: drawn

	client   *bus.Client
	answered atomic.Bool // some request was
}

// Main runs the program with its arguments, without the program's name, and returns its exit status. It returns
// early when ctx ends.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{in: stdin, out: stdout, err: stderr}
	root := newRoot(a)
	root.SetArgs(args)
	defer a.close()
	err := root.ExecuteContext(ctx)
	if err != nil {
		for line := range strings.Lines(a.explain(err)) { // several errors are several lines
			fmt.Fprintln(stderr, "drover: "+strings.TrimSuffix(line, "\n"))
		}
	}
	return exitStatus(err)
}

// The groups in which drover --help lists commands.
const (
	groupRun    = "run"
	groupFleet  = "fleet"
	groupJobs   = "jobs"
	groupRecord = "record"
)

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "drover",
		Short: "Run jobs on device fleets",
		Long: `Drover runs jobs on device fleets. A job is a JSON document and the things and groups it is for; Drover works out which
devices those are, tells them at the pace you choose, follows every device's execution, and can prove afterwards what
happened. Devices speak AWS IoT Jobs over MQTT or NATS.

Wherever a name is asked for, its ARN will do. Results go to stdout, everything else to stderr.`,
		Example: `  drover up
  drover thing create press-07 press-08
  drover job create fw-1 --document '{"operation":"install"}' --target thing/press-07 --target thing/press-08
  drover job watch fw-1`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noSuchCommand,
		RunE:          help,
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%v; see %s --help", err, cmd.CommandPath())
	})
	f := root.PersistentFlags()
	f.StringVar(&a.server, "server", "", "URL of the bus, or several with commas between them (default $DROVER_SERVER, else the one in the data folder's endpoints.json)")
	f.StringVar(&a.creds, "creds", "", "file of the password of client, as drover secrets create writes it (default $DROVER_CREDS, else none)")
	f.StringVar(&a.tlsCA, "tls-ca", "", "file of who signed the brokers' certificates (default $DROVER_TLS_CA)")
	f.StringVar(&a.data, "data", "", "data folder (default "+defaultDataShown+")")
	f.StringVarP(&a.output, "output", "o", "table", "table or json")
	f.DurationVar(&a.timeout, "timeout", 10*time.Second, "how long to wait for an answer")
	f.StringVar(&a.commandID, "command-id", "", "repeat of an accepted command with this id returns its outcome, for 24 h (default: drawn)")
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return a.check() }
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp))

	root.AddGroup(
		&cobra.Group{ID: groupRun, Title: "Run:"},
		&cobra.Group{ID: groupFleet, Title: "Fleet:"},
		&cobra.Group{ID: groupJobs, Title: "Jobs:"},
		&cobra.Group{ID: groupRecord, Title: "Record:"},
	)
	add(root, groupRun, upCommand(a), brokerCommand(a), serveCommand(a), initCommand(a), secretsCommand(a), credentialCommand(a), partitionsCommand(a), simulateCommand(a), healthCommand(a), versionCommand(a))
	add(root, groupFleet, thingCommand(a), thingTypeCommand(a), groupCommand(a), tagCommand(a))
	add(root, groupJobs, jobCommand(a), executionCommand(a), templateCommand(a), inboxCommand(a))
	add(root, groupRecord, explainCommand(a), eventsCommand(a), eventConfigCommand(a), webhookCommand(a), auditCommand(a), logCommand(a), projectionsCommand(a))
	root.AddCommand(topics()...)
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		c.Args, c.RunE = noSuchCommand, help
	}
	return root
}

func add(parent *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
	}
	parent.AddCommand(commands...)
}

// parent makes a command that only holds others.
func parent(use, short, long, example string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Long: long, Example: example, Args: noSuchCommand, RunE: help}
	c.AddCommand(children...)
	return c
}

func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// check looks at the global flags before any command runs.
func (a *app) check() error {
	if a.output != "table" && a.output != "json" {
		return usagef("--output %q: table or json is allowed", a.output)
	}
	if a.timeout <= 0 {
		return usagef("--timeout %v: more than 0 is needed, as in 10s", a.timeout)
	}
	return nil
}

func (a *app) json() bool { return a.output == "json" }
