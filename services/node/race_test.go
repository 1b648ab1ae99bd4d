//go:build race

package node_test

import "time"

// Under the race detector, on a machine that has little to spare, what only takes long is shorter: all of it is in make test.
const (
	idleFor     = 20 * time.Second
	largeThings = 3000
)
