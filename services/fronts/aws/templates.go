package aws

// Templates.
func templateOperations() []*operation {
	return nil
}
