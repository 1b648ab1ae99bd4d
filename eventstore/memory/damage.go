package memory

import "bytes"

// Publish stores any bytes as the next message, as a stranger would who may write to the log. It returns their number.
func (b *Backend) Publish(data []byte) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.store(data)
	return uint64(len(b.stored))
}

// Lose makes the medium lose one message: Get does not find it, Follow skips it.
func (b *Backend) Lose(number uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stored[number-1] = nil
}

// Change lets f change the bytes of one message.
func (b *Backend) Change(number uint64, f func([]byte) []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stored[number-1] = f(bytes.Clone(b.stored[number-1]))
}

// Cut makes the log end at last.
func (b *Backend) Cut(last uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stored = b.stored[:last:last]
	b.wake()
}
