package aws

// Thing types.
func thingTypeOperations() []*operation {
	return nil
}
