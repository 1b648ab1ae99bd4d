package node

import (
	"fmt"
	"slices"
	"strings"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// Role is a part of Drover that a process runs. Any number of processes may run each.
type Role string

// The roles. The first four own logs; several processes of one share its logs among them, by leases.
const (
	RoleJob         Role = "job"
	RoleTargeting   Role = "targeting"
	RoleRollout     Role = "rollout"
	RoleExecution   Role = "execution"
	RoleProjections Role = "projections" // the read models, and the queries they answer
	RoleInbox       Role = "inbox"       // durable commands
	RoleFeed        Role = "feed"        // committed events for others
	RoleHTTP        Role = "http"        // AWS's API
)

// Roles are all roles, in the order in which a job meets them.
func Roles() []Role {
	return []Role{RoleJob, RoleTargeting, RoleRollout, RoleExecution, RoleProjections, RoleInbox, RoleFeed, RoleHTTP}
}

// ParseRole reads a role's name.
func ParseRole(s string) (Role, error) {
	if r := Role(s); slices.Contains(Roles(), r) {
		return r, nil
	}
	return "", fmt.Errorf("%.40q is no role: %s", s, strings.Join(roleNames(Roles()), ", "))
}

func roleNames(roles []Role) []string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return names
}

// owner is the service whose logs a role owns; 0 if it owns none.
func (r Role) owner() v1.Service {
	switch r {
	case RoleJob:
		return v1.Service_SERVICE_JOB
	case RoleTargeting:
		return v1.Service_SERVICE_TARGETING
	case RoleRollout:
		return v1.Service_SERVICE_ROLLOUT
	case RoleExecution:
		return v1.Service_SERVICE_EXECUTION
	}
	return 0
}

// readsOf are the services whose logs the owner of a log reads. (design §3)
func readsOf(owner v1.Service) []v1.Service {
	switch owner {
	case v1.Service_SERVICE_JOB:
		return []v1.Service{v1.Service_SERVICE_ROLLOUT}
	case v1.Service_SERVICE_TARGETING:
		return []v1.Service{v1.Service_SERVICE_JOB}
	case v1.Service_SERVICE_ROLLOUT:
		return []v1.Service{v1.Service_SERVICE_JOB, v1.Service_SERVICE_TARGETING, v1.Service_SERVICE_EXECUTION}
	case v1.Service_SERVICE_EXECUTION:
		return []v1.Service{v1.Service_SERVICE_ROLLOUT}
	}
	return nil
}

// hosted are the logs that processes of these roles own.
func hosted(roles []Role, homes uint32) []id.Log {
	return slices.DeleteFunc(id.Logs(homes), func(l id.Log) bool {
		return !slices.ContainsFunc(roles, func(r Role) bool { return r.owner() == l.Service })
	})
}

// needed are the logs that processes of these roles read: their own, those upstream of them, and all for read models
// and the feed.
func needed(roles []Role, homes uint32) []id.Log {
	if slices.Contains(roles, RoleProjections) || slices.Contains(roles, RoleFeed) {
		return id.Logs(homes)
	}
	wanted := map[v1.Service]bool{}
	for _, r := range roles {
		if owner := r.owner(); owner != 0 {
			wanted[owner] = true
			for _, upstream := range readsOf(owner) {
				wanted[upstream] = true
			}
		}
	}
	return slices.DeleteFunc(id.Logs(homes), func(l id.Log) bool { return !wanted[l.Service] })
}
