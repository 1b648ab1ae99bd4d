package cli

import (
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

func credentialCommand(a *app) *cobra.Command {
	return parent("credential", "Make and revoke access keys for AWS's clients",
		`An access key is what AWS's command line and SDKs sign their requests with: an id and a secret. Whoever has one may do
everything that AWS's API over HTTP can do. Secrets are kept sealed, and shown once.`,
		`  drover credential create --description 'CI of the valve team'
  drover credential list`,
		credentialCreate(a), credentialList(a), credentialRevoke(a))
}

// credentialView is an access key. Its secret is there when it was just made.
type credentialView struct {
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey,omitempty"`
	Description     string `json:"description,omitempty"`
	CreatedAt       string `json:"createdAt"`
	RevokedAt       string `json:"revokedAt,omitempty"`
}

func viewCredential(c *v1.Credential) credentialView {
	return credentialView{
		AccessKeyID: c.GetAccessKeyId(), Description: c.GetDescription(),
		CreatedAt: moment(c.GetCreatedAtMs()), RevokedAt: moment(c.GetRevokedAtMs()),
	}
}
