package aws

// Executions.
func executionOperations() []*operation {
	return nil
}
