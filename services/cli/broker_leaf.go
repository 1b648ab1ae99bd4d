package cli

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/services/broker"
	"github.com/droverhq/drover/services/node"
)

func brokerLeafCommand(a *app) *cobra.Command {
	var cfg broker.LeafConfig
	var flags brokerFlags
	c := &cobra.Command{
		Use:   "leaf",
		Short: "Run a device leaf, which devices connect to",
		Long: `Runs a broker that devices connect to, over MQTT 3.1.1 or NATS. It keeps MQTT sessions only, and hands what devices ask to the
hub: to whichever of its nodes it is linked to, and to another when that is gone.

/readyz on the monitor's port says whether it has its link. Without one devices may connect and are not answered.

Devices have no identities yet: whoever reaches the listeners is any device, TLS or not. So beyond this machine they need
--insecure-devices.`,
		Example: `  drover broker leaf --data ./leaf --hub 127.0.0.1:7422 --creds ./hub/auth
  drover broker leaf --data /data --name leaf-1 --hub hub-1:7422,hub-2:7422,hub-3:7422 --creds leaf.json --tls-ca ca.crt --listen 0.0.0.0 --insecure-devices --tls-cert broker.crt --tls-key broker.key`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case a.data == "":
				return usagef("--data is missing: the folder of this leaf's sessions")
			case len(cfg.HubURLs) == 0:
				return usagef("--hub is missing: where the hub's nodes listen for leafs, as hub-1:%d", leafPort)
			case a.creds == "":
				return usagef("--creds is missing: the file of the leaf's password (drover secrets create writes leaf.json; drover up and a hub of one keep <data>/auth)")
			}
			auth, err := broker.ReadAuth(a.creds, broker.LeafUsers...)
			if err != nil {
				return usagef("--creds: %v", err)
			}
			cfg.Dir, cfg.HubPassword, cfg.HubCA, cfg.TLS = a.data, auth.Leaf, a.tlsCA, flags.tls
			return a.runBroker(cmd.Context(), cfg.Listen, flags,
				func(log *slog.Logger) (runningBroker, error) { cfg.Logger = log; return broker.OpenLeaf(cfg) },
				func(b runningBroker) node.Endpoints {
					return node.Endpoints{MQTT: b.(*broker.Leaf).MQTTURL(), Devices: b.(*broker.Leaf).ClientURL()}
				},
				func(b runningBroker) { b.(*broker.Leaf).Close() })
		},
	}
	f := c.Flags()
	f.StringVar(&cfg.Name, "name", "leaf", "name of this leaf; each leaf of a hub has its own")
	f.StringSliceVar(&cfg.HubURLs, "hub", nil, "host:port where a node of the hub listens for leafs; several with commas between them")
	f.StringVar(&cfg.Listen, "listen", "127.0.0.1", "address of every listener; beyond this machine needs --insecure-devices")
	f.IntVar(&cfg.MQTTPort, "mqtt-port", mqttPort, "port for devices that speak MQTT 3.1.1; 0 is any free one, as for the others")
	f.IntVar(&cfg.NATSPort, "nats-port", devicePort, "port for devices that speak NATS")
	f.Int64Var(&cfg.MaxStore, "max-store", 4<<30, "what the sessions may take on the disk together, in bytes")
	f.BoolVar(&cfg.Insecure, "insecure-devices", false, "listen beyond this machine; whoever reaches it is any device")
	flags.add(f, "of the listeners for devices; without it they speak plain text")
	f.StringVar(&a.tlsCA, "tls-ca", "", "file of who signed the hub's certificates: ca.crt; without it the link is in plain text")
	f.StringVar(&a.creds, "creds", "", "file of the password of the link: leaf.json of drover secrets create")
	return c
}
