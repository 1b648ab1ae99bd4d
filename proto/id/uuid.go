package id

import (
	"crypto/sha256"
	"encoding/json"

	"github.com/google/uuid"
)

// ThingID is AWS's thingId: a UUID, made of a thing's name and number. A thing that is created again under the same name has
// another.
func ThingID(name string, number uint64) string { return UUID("thing", name, number) }

// GroupID is AWS's thingGroupId, the same for a group.
func GroupID(name string, number uint64) string { return UUID("group", name, number) }

// ThingTypeID is AWS's thingTypeId. It is made of the name alone: a type that is created again under the same name has the same.
func ThingTypeID(name string) string { return UUID("thing-type", name, 0) }

// UUID is the same for the same values, for ever.
func UUID(kind, name string, number uint64) string {
	data, _ := json.Marshal([]any{kind, name, number}) // texts and a number alone
	return uuid.NewHash(sha256.New(), uuid.NameSpaceURL, data, 8).String()
}
