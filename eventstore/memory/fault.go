package memory

// Kind is how an append fails.
type Kind int

const (
	None Kind = iota
	// Refused: nothing was stored, and the caller does not know.
	Refused
	// Lost: it was stored, and the answer was lost.
	Lost
	// Late: it is stored after Fault.After further calls of Append, Get or Bounds, unless another message has
	// taken the number by then. So does a cluster that lost its quorum and finds it again.
	Late
	// Unreachable: nothing was done, and the caller knows that there was no way. Of Registers only.
	Unreachable
)

// Fault is what happens to one append.
type Fault struct {
	Kind  Kind
	After int // Late: how many calls later; 0 is the next one
}

// SetFault asks f, under the backend's lock, what shall happen to each append. Nil is never a fault.
func (b *Backend) SetFault(f func(number uint64) Fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = f
}

// SetLimit bounds the bytes stored; an append beyond is ErrFull. 0 is no bound.
func (b *Backend) SetLimit(bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit = bytes
}

// Late is how many appends may still come to be stored.
func (b *Backend) Late() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.late)
}

type late struct {
	number uint64
	data   []byte
	after  int
}

// tick lets late messages arrive, those that were sent first first.
func (b *Backend) tick() {
	waiting := b.late[:0]
	for _, l := range b.late {
		switch {
		case l.number <= uint64(len(b.stored)): // its number is taken: refused, and nobody listens
		case l.after > 0:
			l.after--
			waiting = append(waiting, l)
		case l.number == uint64(len(b.stored))+1:
			b.store(l.data)
		}
	}
	b.late = waiting
}
