package aws

// Groups.
func groupOperations() []*operation {
	return nil
}
