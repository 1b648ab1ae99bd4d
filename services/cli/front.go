package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/droverhq/drover/services/fronts/aws/credential"
	"github.com/droverhq/drover/services/node"
)

// httpFlags are the flags of the role http.
type httpFlags struct {
	*node.HTTP
	requestLog string
}

const dataPortFlag = "http-data-port"

func (h *httpFlags) add(f *pflag.FlagSet) {
	f.IntVar(&h.Port, "http-port", httpPort, "port of AWS's API; 0 is any free one, for a second process on one machine")
	f.IntVar(&h.DataPort, dataPortFlag, 0, "port for the devices' part of it alone; 0 is any free one (default: none, --http-port has both)")
	f.StringVar(&h.Cert, "tls-cert", "", "certificate of AWS's API, in PEM; without it the API speaks plain HTTP")
	f.StringVar(&h.Key, "tls-key", "", "its key")
	f.BoolVar(&h.NoAuth, "insecure-no-auth", false, "let in requests without a signature; on this machine's loopback only")
	f.StringVar(&h.Endpoint, "http-endpoint", "", "host[:port] that DescribeEndpoint tells for iot:Jobs (default: the one by which it is asked)")
	f.StringVar(&h.MQTTEndpoint, "mqtt-endpoint", "", "host[:port] that it tells for iot:Data-ATS (default: the host by which it is asked)")
	f.StringVar(&h.requestLog, "request-log", "", "file to which a line of JSON is added for every request to AWS's API; - is stderr")
}

// read takes in what the flags' values alone do not say. close is called when the node has stopped.
func (h *httpFlags) read(f *pflag.FlagSet, stderr io.Writer) (close func(), err error) {
	h.Data = f.Changed(dataPortFlag)
	switch h.requestLog {
	case "":
		return func() {}, nil
	case "-":
		h.RequestLog = slog.New(slog.NewJSONHandler(stderr, nil))
		return func() {}, nil
	}
	file, err := os.OpenFile(h.requestLog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	h.RequestLog = slog.New(slog.NewJSONHandler(file, nil))
	return func() { _ = file.Close() }, nil
}

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

// printProfile says once, when the access key was made, how AWS's clients are pointed here.
func (a *app) printProfile(p node.Profile) {
	if p.MadeKey == "" {
		return
	}
	fmt.Fprintf(a.out, `With AWS's clients, by the access key %s, made now:
  export AWS_SHARED_CREDENTIALS_FILE=%s AWS_CONFIG_FILE=%s
  aws --profile %s iot list-jobs
  aws --profile %[4]s --endpoint-url %s iot list-jobs    # a version that does not know endpoint_url (before 2.13)
`, p.MadeKey, shellWord(absolute(p.CredentialsFile())), shellWord(absolute(p.ConfigFile())), credential.ProfileName, p.Endpoint)
}

// absolute is a path from anywhere; where the working folder is gone, it stays as it is.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
