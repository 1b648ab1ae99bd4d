package cli

import (
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func credentialList(a *app) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List access keys",
		Long:  `Lists the access keys, the oldest first, without their secrets. Those that were revoked stay on the list.`,
		Example: `  drover credential list
  drover credential list --output json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			l := list[*v1.Credential]{
				a: a, name: "credentials", columns: []string{"ACCESS KEY", "CREATED", "REVOKED", "DESCRIPTION"},
				row: func(c *v1.Credential) []string {
					return []string{c.GetAccessKeyId(), when(c.GetCreatedAtMs()), when(c.GetRevokedAtMs()), orDash(c.GetDescription())}
				},
				view: func(c *v1.Credential) any { return viewCredential(c) },
			}
			return l.pages(limit, func(size uint32, token string) ([]*v1.Credential, string, error) {
				r, err := ask(cmd.Context(), a, bus.ListCredentials, &v1.ListCredentials{Page: &v1.Page{Limit: size, Token: token}})
				return r.GetCredentials(), r.GetNextToken(), err
			})
		},
	}
	limitFlag(cmd, &limit)
	return cmd
}
