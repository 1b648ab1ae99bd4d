package aws

// Things.
func thingOperations() []*operation {
	return nil
}
