// Package buffers keeps buffers for an event loop to use again: a connection that is
// often partly unread or unwritten does not allocate each time.
//
// A loop has one [Store], and gives a connection a buffer for as long as there is something
// in it; an idle connection has none. It does no I/O, and is for one goroutine.
package buffers

// Store gives buffers out and takes them back. The zero value is an empty one. It belongs
// to one goroutine. It keeps up to a megabyte of each size; what is beyond is left to the
// garbage collector.
type Store struct {
	held    int                     // the capacity of the buffers that are given out
	classes [bufferClasses][][]byte // those that are kept, by size
}

// Class i is of smallestBuffer << 2i bytes: 512 B, 2 KiB, … 512 KiB. Larger
// buffers are made to measure and not kept.
const (
	smallestBuffer  = 512
	bufferClasses   = 6
	classKeepsBytes = 1 << 20
)

func classSize(class int) int { return smallestBuffer << (2 * class) }

// classOf returns the smallest class that holds n bytes, or bufferClasses.
func classOf(n int) int {
	class := 0
	for class < bufferClasses && classSize(class) < n {
		class++
	}
	return class
}

// Get returns an empty buffer with a capacity of at least n.
func (b *Store) Get(n int) []byte {
	class := classOf(n)
	if class == bufferClasses {
		b.held += n
		return make([]byte, 0, n)
	}
	b.held += classSize(class)
	kept := b.classes[class]
	if len(kept) == 0 {
		return make([]byte, 0, classSize(class))
	}
	buffer := kept[len(kept)-1]
	kept[len(kept)-1] = nil
	b.classes[class] = kept[:len(kept)-1]
	return buffer
}

// Put takes a buffer back, which nobody may use any more; nil is none.
func (b *Store) Put(buffer []byte) {
	b.held -= cap(buffer)
	class := classOf(cap(buffer))
	if class == bufferClasses || cap(buffer) != classSize(class) {
		return
	}
	if len(b.classes[class])*classSize(class) < classKeepsBytes {
		b.classes[class] = append(b.classes[class], buffer[:0])
	}
}

// Forget is Put for a buffer that somebody still looks at: it is not given out again.
func (b *Store) Forget(buffer []byte) { b.held -= cap(buffer) }

// Held returns the capacity of the buffers that are given out.
func (b *Store) Held() int { return b.held }

// TooLarge reports whether a buffer is four times too large for n bytes, and there are
// smaller ones.
func TooLarge(buffer []byte, n int) bool { return n <= cap(buffer)/4 && cap(buffer) > smallestBuffer }

// Fit returns a buffer with what is in this one from index from on: this one, or a
// smaller one when this one is four times too large. While a large buffer empties,
// the copies to smaller ones come to a third of its capacity at most.
func (b *Store) Fit(buffer []byte, from int) []byte {
	rest := buffer[from:]
	if TooLarge(buffer, len(rest)) {
		smaller := append(b.Get(len(rest)), rest...)
		b.Put(buffer)
		return smaller
	}
	return buffer[:copy(buffer, rest)]
}

// Append is the built-in append, with buffers of the store.
func (b *Store) Append(buffer, more []byte) []byte {
	if need := len(buffer) + len(more); need > cap(buffer) {
		larger := b.Get(max(need, 2*cap(buffer)))
		larger = append(larger, buffer...)
		b.Put(buffer)
		buffer = larger
	}
	return append(buffer, more...)
}
