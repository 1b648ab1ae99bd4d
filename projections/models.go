package projections

import (
	"strings"

	"github.com/droverhq/drover/projections/executions"
	"github.com/droverhq/drover/projections/fleet"
	"github.com/droverhq/drover/projections/jobs"
	"github.com/droverhq/drover/projections/progress"
)

// models lists the tables of each model: a row's first byte tells whose it is.
var models = []struct{ name, tables string }{
	{"checkpoints", string(rune(tableRunner))},
	{"jobs", jobs.Tables},
	{"executions", executions.Tables},
	{"fleet", fleet.Tables},
	{"progress", progress.Tables},
}

func modelOf(key []byte) string {
	for _, m := range models {
		if len(key) > 0 && strings.IndexByte(m.tables, key[0]) >= 0 {
			return m.name
		}
	}
	return "no model"
}
