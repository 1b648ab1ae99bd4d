package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Endpoints are the addresses of a running system, as URLs: <data>/endpoints.json. The file is there while the
// system is ready, and only then.
type Endpoints struct {
	NATS    string `json:"nats"`
	Leaf    string `json:"leaf"`
	MQTT    string `json:"mqtt"`
	Monitor string `json:"monitor"`
	// HTTP is AWS's API, and HTTPData its data plane alone, if that has a listener of its own. Both are empty without the
	// role http.
	HTTP     string `json:"http"`
	HTTPData string `json:"httpData,omitempty"`
	// Devices is where devices that speak NATS connect: the device leaf.
	Devices string `json:"devices"`
	// PID is the process that serves them.
	PID int `json:"pid"`
}

// EndpointsFile is the path of the file in a data folder.
func EndpointsFile(data string) string { return filepath.Join(data, "endpoints.json") }

// ReadEndpoints reads the file of a data folder. A missing file is an error that says what to do.
func ReadEndpoints(data string) (Endpoints, error) {
	var e Endpoints
	text, err := os.ReadFile(EndpointsFile(data))
	if errors.Is(err, fs.ErrNotExist) {
		return e, fmt.Errorf("nothing is running on %s: start it with `drover up --data %s`, or name a server with --server", data, data)
	}
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return e, fmt.Errorf("%s: %w", EndpointsFile(data), err)
	}
	return e, nil
}

// Write writes the file of a data folder.
func (e Endpoints) Write(data string) error { return e.write(data) }

func (e Endpoints) write(data string) error {
	text, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(EndpointsFile(data), append(text, '\n'))
}
