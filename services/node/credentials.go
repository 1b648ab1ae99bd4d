package node

import (
	"context"
	"path/filepath"

	"github.com/droverhq/drover/services/fronts/aws/credential"
)

// Profile is how AWS's clients on this machine find a system with brokers of its own.
type Profile struct {
	credential.Profile
	// MadeKey is the id of the access key if it was made, or written, at this start; else empty.
	MadeKey string
}

// openCredentials opens the access keys, and answers commands and questions about them.
func (n *Node) openCredentials(ctx context.Context) (*credential.Store, error) {
	nc, err := n.connect(ctx, n.hub.Connect, "access keys")
	if err != nil {
		return nil, err
	}
	var keys *credential.Store
	err = n.persist(ctx, "the access keys", func() error {
		keys, err = credential.Open(ctx, credential.Config{Conn: nc, Replicas: n.replicas, Seal: n.hub.Auth.Seal, Logger: n.cfg.Logger})
		return err
	})
	if err != nil {
		return nil, err
	}
	n.onClose(func() error { keys.Close(); return nil })
	s, err := n.server(ctx, "credential")
	if err != nil {
		return nil, err
	}
	return keys, credential.Serve(s, keys)
}

// writeProfile leaves in the data folder what AWS's clients on this machine need: <data>/aws.
func (n *Node) writeProfile(ctx context.Context, keys *credential.Store) (err error) {
	n.profile.Profile = credential.Profile{Dir: filepath.Join(n.cfg.Data, "aws"), Region: n.cfg.Region, Endpoint: n.endpoints.HTTP}
	n.profile.MadeKey, _, err = keys.WriteProfile(ctx, n.profile.Profile)
	return err
}

// Profile is how AWS's clients on this machine find the system. It is empty where the brokers are not this process's own, or
// without the role http.
func (n *Node) Profile() Profile { return n.profile }
