package cli

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/eventstore/jetstream"
	"github.com/droverhq/drover/services/broker"
	"github.com/droverhq/drover/services/node"
)

func brokerHubCommand(a *app) *cobra.Command {
	var cfg broker.HubConfig
	var cluster broker.Cluster
	var flags brokerFlags
	c := &cobra.Command{
		Use:   "hub",
		Short: "Run a node of the hub, which holds the logs",
		Long: `Runs the broker that holds the logs, or with --route one node of three. Each node lists all of them, itself too or not; they
share --homes and --creds. A node remembers in its folder what it was born as, and refuses to be another.

It reads the numbers in its logs' files before it starts, and stops with the first that does not follow. /readyz on the
monitor's port says what it waits for: the other nodes, streams that are behind. SIGTERM and ^C hand over what it leads,
let clients go one by one, and end within 10 seconds.

Beyond this machine it needs --tls-cert, --tls-key and --tls-ca, and then clients need the password in client.json; or
--insecure, and whoever reaches it is a client.`,
		Example: `  drover broker hub --data ./hub --homes 4
  drover broker hub --data /data --name hub-1 --homes 8 --listen 0.0.0.0 --creds hub.json --tls-cert broker.crt --tls-key broker.key --tls-ca ca.crt --route hub-1:6222 --route hub-2:6222 --route hub-3:6222`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if a.data == "" {
				return usagef("--data is missing: the folder of this node's logs")
			}
			if len(cluster.Routes) > 0 {
				if a.creds == "" || !cmd.Flags().Changed("name") {
					return usagef("--route: a node of several needs --name, and --creds: the file of all passwords that the nodes share (hub.json of drover secrets create)")
				}
				cfg.Cluster = &cluster
			}
			if a.creds != "" {
				if cfg.Auth, err = broker.ReadAuth(a.creds, broker.HubUsers...); err != nil {
					return usagef("--creds: %v", err)
				}
			}
			cfg.Dir, cfg.TLS, cfg.Check = a.data, flags.tls, jetstream.CheckFiles
			if cfg.TLS != (broker.TLS{}) {
				cfg.TLS.CA = a.tlsCA
			}
			return a.runBroker(cmd.Context(), cfg.Listen, flags,
				func(log *slog.Logger) (runningBroker, error) { cfg.Logger = log; return broker.StartHub(cfg) },
				func(b runningBroker) node.Endpoints {
					return node.Endpoints{NATS: b.(*broker.Hub).ClientURL(), Leaf: b.(*broker.Hub).LeafURL()}
				},
				func(b runningBroker) { b.(*broker.Hub).Retire() })
		},
	}
	f := c.Flags()
	f.StringVar(&cfg.Name, "name", "hub", "name of this node, for life; each node of a hub has its own")
	f.StringVar(&cfg.Listen, "listen", "127.0.0.1", "address of every listener; beyond this machine needs TLS or --insecure")
	f.IntVar(&cfg.NATSPort, "nats-port", natsPort, "port of the bus; 0 is any free one, as for the others")
	f.IntVar(&cfg.LeafPort, "leaf-port", leafPort, "port for leafs")
	f.IntVar(&cluster.Port, "cluster-port", clusterPort, "port for the other nodes")
	f.StringVar(&cluster.Name, "cluster-name", "drover", "name of the hub of several nodes, for life; the same on every node")
	f.StringSliceVar(&cluster.Routes, "route", nil, "host:port where a node listens for the others; once for each node")
	f.Uint32Var(&cfg.Homes, "homes", 0, "number of execution partitions, for life; the same on every node (default: what the folder was born with)")
	f.Int64Var(&cfg.MaxStore, "max-store", 64<<30, "what the streams may take on the disk together, in bytes")
	f.BoolVar(&cfg.Insecure, "insecure", false, "listen beyond this machine without TLS; whoever reaches it is a client")
	flags.add(f, "of every listener")
	f.StringVar(&a.tlsCA, "tls-ca", "", "file of who signed the nodes' certificates: ca.crt")
	f.StringVar(&a.creds, "creds", "", "file of all passwords: hub.json of drover secrets create (default: drawn into <data>/auth)")
	return c
}
