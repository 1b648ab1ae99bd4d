//go:build !race

package sim

const seedsPlayed = 200
