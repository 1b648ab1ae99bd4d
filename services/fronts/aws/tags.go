package aws

// Tags.
func tagOperations() []*operation {
	return nil
}
