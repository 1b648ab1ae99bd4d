package targeting

import (
	"fmt"
	"strings"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// The limits of one command, and those of the fleet (specification §1.3, §2.11).
const (
	thingsMax      = 1000     // of one command
	textBytesMax   = 32 << 10 // of one command: names, types, attributes
	targetsMax     = 10_000   // of one CheckTargets
	descriptionMax = 2028     // characters
	groupsMax      = 10       // of a thing
	depthMax       = 7        // of a tree; a group without a parent is at 1
	childrenMax    = 100      // direct, of a group
	changesMax     = 100      // groups that one ChangeGroupsOfThing names
)

// The fields, as callers of AWS's registry spell them (specification §2.10).
const (
	fieldThing       = "thingName"
	fieldType        = "thingTypeName"
	fieldAttributes  = "attributePayload.attributes"
	fieldGroup       = "thingGroupName"
	fieldParent      = "parentGroupName"
	fieldDescription = "thingGroupProperties.thingGroupDescription"
	fieldTargets     = "targets"
	fieldVersion     = "expectedVersion"
	fieldTags        = "tags"
	fieldTagKeys     = "tagKeys"
	fieldResource    = "resourceArn"
	fieldAdd         = "thingGroupsToAdd"
	fieldRemove      = "thingGroupsToRemove"
	fieldSearchable  = "thingTypeProperties.searchableAttributes"

	fieldTypeDescription = "thingTypeProperties.thingTypeDescription"
	fieldGroupAttributes = "thingGroupProperties.attributePayload.attributes"
)

func invalid(field, format string, args ...any) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, field, format, args...)
}

func notFound(field, format string, args ...any) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, field, format, args...)
}

func limitExceeded(field, format string, args ...any) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_LIMIT_EXCEEDED, field, format, args...)
}

func alreadyExists(field, format string, args ...any) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_ALREADY_EXISTS, field, format, args...)
}

// parseThing reads a thing's name, or its ARN.
func parseThing(s string) (id.Thing, error) {
	name, err := id.ParseThing(s)
	if err != nil {
		return "", invalid(fieldThing, "%v", err)
	}
	return name, nil
}

// parseGroup reads a group's name, or its ARN.
func parseGroup(field, s string) (id.Group, error) {
	name, err := id.ParseGroup(s)
	if err != nil {
		return "", invalid(field, "%v", err)
	}
	return name, nil
}

// checkSize refuses a command that names nothing, or too much for one commit.
func checkSize(things, bytes int) error {
	switch {
	case things == 0:
		return invalid(fieldThing, "no thing is named; name 1 to %d", thingsMax)
	case things > thingsMax:
		return invalid(fieldThing, "%d things; at most %d are allowed in one request: split it", things, thingsMax)
	case bytes > textBytesMax:
		return invalid(fieldThing, "the names and attributes have %d bytes; at most %d are allowed in one request: split it", bytes, textBytesMax)
	}
	return nil
}

// checkSet refuses a text of more than limit characters, or with one beyond letters, digits and more.
func checkSet(field, what, s string, limit int, more string) error {
	if len(s) > limit {
		return invalid(field, "%s has %d characters; at most %d of [a-zA-Z0-9%s] are allowed", what, len(s), limit, more)
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(more, c) >= 0) {
			return invalid(field, "%s holds %q; only [a-zA-Z0-9%s] are allowed", what, c, more)
		}
	}
	return nil
}

// checkDescription checks that of a group.
func checkDescription(text string) error {
	return core.CheckText(fieldDescription, text, descriptionMax)
}

// names lists up to five for a message.
func names(list []string) string {
	const named = 5
	s := strings.Join(list[:min(len(list), named)], ", ")
	if len(list) > named {
		s += fmt.Sprintf(" and %d more", len(list)-named)
	}
	return s
}
