//go:build race

package sim

// seedsPlayed is fewer under the race detector: a run is one goroutine, of which it sees nothing, and takes ten times as long.
const seedsPlayed = 80
