//go:build !race

package node_test

import "time"

const (
	idleFor     = 60 * time.Second
	largeThings = 8000
)
