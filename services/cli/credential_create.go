package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func credentialCreate(a *app) *cobra.Command {
	var description string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make an access key, and show its secret once",
		Long: `Makes an access key and shows its secret, this once. If no answer comes (exit status 5), a key may have been made whose
secret nobody knows: look for it with drover credential list, and revoke it.`,
		Example: `  drover credential create --description 'CI of the valve team'
  drover credential create --output json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := ask(cmd.Context(), a, bus.CreateCredential, &v1.CreateCredential{Description: description})
			if err != nil {
				return err
			}
			c := viewCredential(r.GetCredential())
			c.SecretAccessKey = r.GetSecretAccessKey()
			if a.json() {
				return a.printJSON(c)
			}
			// As AWS's clients read them: from the environment.
			_, err = fmt.Fprintf(a.out, "export AWS_ACCESS_KEY_ID=%s\nexport AWS_SECRET_ACCESS_KEY=%s\n", c.AccessKeyID, c.SecretAccessKey)
			fmt.Fprintln(a.err, "drover: keep the secret; it is not shown again")
			return err
		},
	}
	cmd.Flags().StringVar(&description, "description", "", "whose it is, or what for: up to 128 characters")
	return cmd
}
