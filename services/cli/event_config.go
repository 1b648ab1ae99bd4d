package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

func eventConfigCommand(a *app) *cobra.Command {
	return parent("event-config", "Choose which events are published to $aws/events",
		`Events of AWS's shape go to $aws/events/… on the broker, category by category; all categories are off at first. The record
(drover events) and the feed have every event, whatever is chosen here. POLICY, CERTIFICATE and CA_CERTIFICATE can be
switched on, as on AWS, and tell nothing: Drover has no such things.`,
		`  drover event-config show
  drover event-config set JOB=on JOB_EXECUTION=on`,
		eventConfigShow(a), eventConfigSet(a))
}

func eventConfigShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "show",
		Short:   "Show which categories are published",
		Long:    `Shows every category, and whether its events are published.`,
		Example: `  drover event-config show`,
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := query(cmd.Context(), a, bus.DescribeEventConfigurations, &v1.DescribeEventConfigurations{Freshness: fresh})
			if err != nil {
				return err
			}
			if a.json() {
				categories := object{}
				for _, c := range r.GetConfigurations() {
					categories = append(categories, member{v1.EnumName(c.GetCategory()), object{{"Enabled", c.GetEnabled()}}})
				}
				o := object{{"eventConfigurations", categories}}
				if at := moment(r.GetLastModifiedMs()); at != "" {
					o = append(o, member{"lastModifiedDate", at})
				}
				return a.printJSON(o)
			}
			w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
			fmt.Fprintln(w, "CATEGORY\tPUBLISHED")
			for _, c := range r.GetConfigurations() {
				fmt.Fprintf(w, "%s\t%s\n", v1.EnumName(c.GetCategory()), onOff(c.GetEnabled()))
			}
			return w.Flush()
		},
	}
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func eventConfigSet(a *app) *cobra.Command {
	names := statusNames(v1.EventCategory(0).Descriptor())
	return &cobra.Command{
		Use:   "set CATEGORY=on|off…",
		Short: "Publish categories, or not",
		Long: `Turns categories on or off; those that are not named stay as they are. The categories:
  ` + strings.Join(names, "\n  "),
		Example: `  drover event-config set JOB=on JOB_EXECUTION=on
  drover event-config set THING=off`,
		Args: takes(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := keyed("eventConfigurations", args, parseEventConfiguration, func(c *v1.EventConfiguration) string { return v1.EnumName(c.GetCategory()) })
			if err != nil {
				return err
			}
			reply, err := tell(cmd.Context(), a, bus.ConfigureEvents, &v1.ConfigureEvents{Configurations: list})
			if err != nil {
				return err
			}
			return a.done(doneView{Position: id.FormatPosition(reply.GetPosition())}, "changed "+plural(len(list), "category"))
		},
		ValidArgs: names,
	}
}

func parseEventConfiguration(s string) (*v1.EventConfiguration, error) {
	name, value, _ := strings.Cut(s, "=")
	n, err := body.Enum("eventConfigurations", name, v1.EventCategory(0))
	if err != nil {
		return nil, err
	}
	if n == 0 || value != "on" && value != "off" {
		return nil, invalid("eventConfigurations", "%.60q: the form is CATEGORY=on or CATEGORY=off", s)
	}
	return &v1.EventConfiguration{Category: v1.EventCategory(n), Enabled: value == "on"}, nil
}
