package cli

import (
	"github.com/spf13/cobra"
)

func thingCommand(a *app) *cobra.Command {
	return parent("thing", "Register and look at things (devices)",
		`A thing is a device that jobs can be for. It is registered by name, with a type and attributes if you like; its
device then connects under that name.`,
		`  drover thing create press-07
  drover thing describe press-07`,
		thingCreate(a), thingList(a), thingDescribe(a), thingUpdate(a), thingGroups(a), thingDelete(a), thingExecutions(a), thingPending(a))
}
