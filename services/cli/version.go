package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// Version of this program; the linker sets it in a release.
var Version = "dev"

type versionView struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func versionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Show the version of this program",
		Long:    `Shows the version of this program, and what it was built with and for.`,
		Example: `  drover version --output json`,
		Args:    takes(0, 0),
		RunE: func(*cobra.Command, []string) error {
			v := versionView{Version, runtime.Version(), runtime.GOOS, runtime.GOARCH}
			if a.json() {
				return a.printJSON(v)
			}
			_, err := fmt.Fprintf(a.out, "drover %s (%s, %s/%s)\n", v.Version, v.Go, v.OS, v.Arch)
			return err
		},
	}
}
