package cli

import (
	"github.com/spf13/pflag"

	"github.com/droverhq/drover/services/node"
)

// httpFlags are the flags of the role http.
type httpFlags struct{ *node.HTTP }

const dataPortFlag = "http-data-port"

func (h httpFlags) add(f *pflag.FlagSet) {
	f.IntVar(&h.Port, "http-port", httpPort, "port of AWS's API; 0 is any free one, for a second process on one machine")
	f.IntVar(&h.DataPort, dataPortFlag, 0, "port for the devices' part of it alone; 0 is any free one (default: none, --http-port has both)")
	f.StringVar(&h.Cert, "tls-cert", "", "certificate of AWS's API, in PEM; without it the API speaks plain HTTP")
	f.StringVar(&h.Key, "tls-key", "", "its key")
	f.BoolVar(&h.NoAuth, "insecure-no-auth", false, "let in requests without a signature; on this machine's loopback only")
}

// read takes in what the flags' values alone do not say.
func (h httpFlags) read(f *pflag.FlagSet) { h.Data = f.Changed(dataPortFlag) }

// apiText is where AWS's API is, for a sentence about a process that may have none.
func apiText(e node.Endpoints) string {
	if e.HTTP == "" {
		return ""
	}
	text := ". AWS's API: " + e.HTTP
	if e.HTTPData != "" {
		text += ", of devices " + e.HTTPData
	}
	return text
}
