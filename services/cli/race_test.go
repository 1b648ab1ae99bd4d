//go:build race

package cli_test

// raced says that this is a run under the race detector, which sees the test and not the processes that it starts: those
// that need the machine's speed run without it, in make test.
const raced = true
