// Package deploy holds how Drover is run: the configuration of its brokers, embedded for services/broker.
//
// The files are nats-server's own, with ${DROVER_…} where a value of the installation stands; a plain nats-server
// runs them once those are replaced. They hold no secret.
package deploy

import (
	"embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

//go:embed *.conf
var files embed.FS

// The files that a broker is configured by, and those that they include.
const (
	Hub  = "hub.conf"  // the server that holds the logs, or a node of several
	Leaf = "leaf.conf" // a server that devices connect to

	Anonymous = "anonymous.conf" // of a hub: who gives no name is a client
	Cluster   = "cluster.conf"   // of a hub: it is a node of several
	TLS       = "tls.conf"       // of both: their listeners speak TLS
	NodesTLS  = "nodes-tls.conf" // of a hub: its nodes speak TLS with each other
	HubCA     = "hub-ca.conf"    // of a leaf: its link speaks TLS
)

var (
	variable = regexp.MustCompile(`\$\{(DROVER_[A-Z_]+)\}`)
	include  = regexp.MustCompile(`(?m)^\s*include "([a-z-]+\.conf)"\n`)
)

// Render makes the configuration of one file: what it includes stands in it if it is among the wanted, and every
// ${DROVER_NAME} is replaced by values["NAME"]. A variable without a value is an error; so is a value that could end the
// quotes it stands in.
func Render(file string, wanted []string, values map[string]string) (string, error) {
	text, err := read(file, wanted)
	if err != nil {
		return "", err
	}
	return replace(text, values)
}

func read(file string, wanted []string) (string, error) {
	data, err := files.ReadFile(file)
	text := include.ReplaceAllStringFunc(string(data), func(line string) string {
		name := include.FindStringSubmatch(line)[1]
		if !slices.Contains(wanted, name) {
			return ""
		}
		part, failed := read(name, wanted)
		if failed != nil {
			err = failed
		}
		return part
	})
	return text, err
}

func replace(text string, values map[string]string) (string, error) {
	var err error
	text = variable.ReplaceAllStringFunc(text, func(v string) string {
		name := strings.TrimSuffix(strings.TrimPrefix(v, "${DROVER_"), "}")
		value, ok := values[name]
		switch {
		case !ok:
			err = fmt.Errorf("no value for %s", v)
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r == 0x7f }):
			err = fmt.Errorf("%s is %q: quotes, backslashes and control characters cannot stand in a broker's configuration", v, value)
		}
		return value
	})
	return text, err
}
