package job

import (
	"fmt"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

func eventsKey(c v1.EventCategory) kv.Key { return append(kv.NewKey(tableEvents), byte(c)) }

// configureEvents decides ConfigureEvents: what is named changes, the rest stays (specification §2.10 and §6.1).
func configureEvents(s *core.Step, cmd *v1.ConfigureEvents) (*v1.ConfigureEventsReply, error) {
	const field = "eventConfigurations"
	var changed []*v1.EventConfiguration
	var seen [v1.EventCategory_EVENT_CATEGORY_CA_CERTIFICATE + 1]bool
	for i, c := range cmd.Configurations {
		category := c.GetCategory()
		if category < v1.EventCategory_EVENT_CATEGORY_THING || category > v1.EventCategory_EVENT_CATEGORY_CA_CERTIFICATE {
			return nil, invalid(fmt.Sprintf("%s[%d]", field, i), "category %d is unknown; choose one of JOB, JOB_EXECUTION, THING, THING_GROUP, THING_GROUP_MEMBERSHIP and the others of AWS", category)
		}
		if seen[category] {
			return nil, invalid(fmt.Sprintf("%s[%d]", field, i), "the category is given twice; give it once")
		}
		seen[category] = true
		if _, enabled := s.Get(eventsKey(category)); enabled != c.GetEnabled() {
			changed = append(changed, &v1.EventConfiguration{Category: category, Enabled: c.GetEnabled()})
		}
	}
	if len(changed) > 0 {
		s.Emit(&v1.Event{Event: &v1.Event_EventsConfigured{EventsConfigured: &v1.EventsConfigured{Configurations: changed}}}, nil)
	}
	return &v1.ConfigureEventsReply{Position: s.Position()}, nil
}
