package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func credentialRevoke(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "End an access key for good",
		Long: `Ends an access key for good: every process refuses it within 5 seconds, and its secret is forgotten. One that was revoked
before stays as it is.`,
		Example:           `  drover credential revoke DROVERQ4ZK7M2XTPW3NA`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeCredentials,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := ask(cmd.Context(), a, bus.RevokeCredential, &v1.RevokeCredential{AccessKeyId: args[0]})
			if err != nil {
				return err
			}
			c := viewCredential(r.GetCredential())
			if a.json() {
				return a.printJSON(c)
			}
			_, err = fmt.Fprintf(a.out, "revoked access key %s at %s\n", c.AccessKeyID, c.RevokedAt)
			return err
		},
	}
}

// completeCredentials offers the access keys that are valid.
func (a *app) completeCredentials(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	r, _ := ask(ctx, a, bus.ListCredentials, &v1.ListCredentials{})
	var ids []string
	for _, c := range r.GetCredentials() {
		if c.GetRevokedAtMs() == 0 {
			ids = append(ids, c.GetAccessKeyId())
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
