package node

import (
	"fmt"
	"syscall"
)

// logsMax bounds all logs together, below what the hub's JetStream may use.
const logsMax = 60 << 30

// freeForLogs is 80 % of what is free on the disk of an own hub.
func freeForLogs(data string) (int64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(data, &fs); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", data, err)
	}
	return min(int64(fs.Bavail)*fs.Bsize/10*8, logsMax), nil
}
