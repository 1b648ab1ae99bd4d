package cli

import (
	"github.com/spf13/cobra"
)

func groupCommand(a *app) *cobra.Command {
	return parent("group", "Put things into groups",
		`A group holds things, and other groups. A job at a group is for every thing in it and in the groups below it, as they
are when the job is created.`,
		`  drover group create press-line
  drover group add press-line press-07 press-08`,
		groupCreate(a), groupAdd(a), groupRemove(a), groupList(a), groupDescribe(a), groupUpdate(a), groupDelete(a))
}
