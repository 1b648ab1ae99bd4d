package aws

// What is set for an account: events, indexing, addresses.
func settingOperations() []*operation {
	return nil
}
