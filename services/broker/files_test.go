package broker

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// A plain nats-server reads the files, each with its variables replaced, and an empty one for what is not wanted.
func TestAPlainServerReadsTheFiles(t *testing.T) {
	secrets := createSecrets(t)
	values := map[string]string{
		"SERVER_NAME": "a", "LISTEN": "127.0.0.1", "NATS_PORT": "4222", "LEAF_PORT": "7422", "CLUSTER_PORT": "6222", "MQTT_PORT": "1883",
		"STORE": "/data", "MAX_STORE": "1GB", "DOMAIN": "leaf-1", "HOMES": "4", "CLUSTER_NAME": "drover",
		"ROUTES": "nats-route://node:secret@hub-1:6222, nats-route://node:secret@hub-2:6222", "HUB_URLS": "tls://leaf:secret@hub-1:7422, tls://leaf:secret@hub-2:7422",
		"TLS_CERT": filepath.Join(secrets, "broker.crt"), "TLS_KEY": filepath.Join(secrets, "broker.key"),
		"TLS_CA": filepath.Join(secrets, "ca.crt"), "HUB_CA": filepath.Join(secrets, "ca.crt"),
	}
	variable := regexp.MustCompile(`\$\{DROVER_([A-Z_]+)\}`)
	files, err := filepath.Glob("../../deploy/*.conf")
	if err != nil || len(files) < 7 {
		t.Fatalf("found %v, %v", files, err)
	}
	for _, wanted := range []bool{false, true} {
		dir := t.TempDir()
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Base(file)
			if main := name == "hub.conf" || name == "leaf.conf"; !main && (!wanted || name == "anonymous.conf") {
				text = nil
			}
			text = variable.ReplaceAllFunc(text, func(v []byte) []byte {
				if value, ok := values[string(variable.FindSubmatch(v)[1])]; ok {
					return []byte(value)
				}
				return []byte("secret")
			})
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		hub, err := server.ProcessConfigFile(filepath.Join(dir, "hub.conf"))
		if err != nil {
			t.Fatalf("hub.conf: %v", err)
		}
		if !hub.SyncAlways || len(hub.Users) != 7 {
			t.Errorf("hub.conf: sync_interval always %v, %d users", hub.SyncAlways, len(hub.Users))
		}
		leaf, err := server.ProcessConfigFile(filepath.Join(dir, "leaf.conf"))
		if err != nil {
			t.Fatalf("leaf.conf: %v", err)
		}
		remote := leaf.LeafNode.Remotes[0]
		for what, there := range map[string]bool{
			"TLS of clients": hub.TLSConfig != nil, "TLS of leafs": hub.LeafNode.TLSConfig != nil, "a cluster": len(hub.Routes) == 2, "TLS of nodes": hub.Cluster.TLSConfig != nil,
			"TLS of NATS devices": leaf.TLSConfig != nil, "TLS of MQTT devices": leaf.MQTT.TLSConfig != nil, "TLS of the link": remote.TLSConfig != nil,
		} {
			if there != wanted {
				t.Errorf("%s: %v, wanted %v", what, there, wanted)
			}
		}
		if len(remote.URLs) != 2 {
			t.Errorf("the leaf knows %v", remote.URLs)
		}
	}
}
