package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/services/broker"
)

func secretsCommand(a *app) *cobra.Command {
	return parent("secrets", "Make the passwords and certificates of a system",
		`Makes what the processes of a system know each other by: passwords of the brokers' users, and certificates signed by a CA
of their own. drover up needs none of it: it draws its passwords itself.`,
		"  drover secrets create ./secrets --host hub-1 --host hub-2 --host hub-3",
		secretsCreateCommand(a), secretsRenewCommand(a))
}

func secretsCreateCommand(a *app) *cobra.Command {
	var hosts []string
	c := &cobra.Command{
		Use:   "create DIR",
		Short: "Make what is missing in a folder of secrets",
		Long: `Makes, in a folder that only you may read:

  hub.json      every password, for the nodes of the hub   drover broker hub --creds
  service.json  for the services                           drover serve --creds
  leaf.json     for device leafs                           drover broker leaf --creds
  client.json   for operators and integrators              drover --creds, DROVER_CREDS
  ca.crt        for whoever connects                       --tls-ca, DROVER_TLS_CA
  ca.key        to sign more certificates; it belongs on none of these machines
  broker.crt, broker.key   of every broker, in the names of the hosts and of loopback

Give each process the files it needs and no other. What is there stays as it is, so the command may be repeated; a file
of an earlier version gets the passwords that it lacks (completed): give it to its processes again, the brokers first. A
certificate that is there and lacks a host is an error. The CA holds for ten years, the certificate for two: see
drover secrets renew.`,
		Example: `  drover secrets create ./secrets --host hub-1 --host hub-2 --host hub-3 --host leaf-1
  drover secrets create ./secrets --host drover.example.org --host 10.0.0.7`,
		Args: takes(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := broker.CreateSecrets(args[0], hosts)
			if err != nil {
				return err
			}
			if a.json() {
				return a.printJSON(map[string]any{"dir": args[0], "files": files})
			}
			var rows []field
			for _, f := range files {
				did := "kept"
				if f.Made {
					did = "made"
				} else if f.Completed {
					did = "completed"
				}
				rows = append(rows, field{f.Name, did + ", for " + f.For})
			}
			return a.printFields(rows...)
		},
	}
	c.Flags().StringSliceVar(&hosts, "host", nil, "name or address by which a broker is reached, beside localhost; may be repeated")
	return c
}

func secretsRenewCommand(a *app) *cobra.Command {
	var hosts []string
	c := &cobra.Command{
		Use:   "renew DIR",
		Short: "Sign the brokers' certificate again",
		Long: `Signs broker.crt again, with a new key, for two years: in the names that it has and in those that are added. Needs ca.key in
the folder. Give the brokers both files and start them again one by one; meanwhile the old certificate is trusted as well.`,
		Example: `  drover secrets renew ./secrets
  drover secrets renew ./secrets --host leaf-2`,
		Args: takes(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			until, err := broker.RenewCertificate(args[0], hosts)
			if err != nil {
				return err
			}
			if a.json() {
				return a.printJSON(map[string]any{"dir": args[0], "until": until.UTC()})
			}
			_, err = fmt.Fprintf(a.out, "broker.crt and broker.key were made anew; they hold until %s\n", until.UTC().Format("2006-01-02"))
			return err
		},
	}
	c.Flags().StringSliceVar(&hosts, "host", nil, "another name or address by which a broker is reached; may be repeated")
	return c
}
