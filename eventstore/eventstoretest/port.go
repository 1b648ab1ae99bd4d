package eventstoretest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// given are the ports that FreePort has given in this process.
var given sync.Map

// FreePort is a TCP port of 127.0.0.1 on which nobody listens, for a server that must be told its port, or that is started
// again where it was. No two calls of a process give the same. It lies below those that a system gives to whoever asks for
// any (from 32768 on Linux, from 49152 elsewhere): nobody's connection, and nobody who listens on port 0, takes it before it
// is used, or while its server is away.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 10_000 + rand.IntN(20_000)
		if _, twice := given.LoadOrStore(port, true); twice {
			continue
		}
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}
