package worker

// buffers is the loop's store of buffers for what connections leave over, so
// that one that is often partly unread or unwritten does not allocate each time.
// What it keeps is bounded; the rest is the collector's.
type buffers struct {
	held    int // the capacity of those that are out
	classes [bufferClasses][][]byte
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

// get returns an empty buffer with a capacity of at least n.
func (b *buffers) get(n int) []byte {
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

// put takes a buffer back, which nobody may use any more; nil is none.
func (b *buffers) put(buffer []byte) {
	b.held -= cap(buffer)
	class := classOf(cap(buffer))
	if class == bufferClasses || cap(buffer) != classSize(class) {
		return
	}
	if len(b.classes[class])*classSize(class) < classKeepsBytes {
		b.classes[class] = append(b.classes[class], buffer[:0])
	}
}

// forget is put for a buffer that somebody still looks at: it is not used again.
func (b *buffers) forget(buffer []byte) { b.held -= cap(buffer) }

// fit returns a buffer with what is in this one from from on: this one, or, when it is
// four times too large, another. Each byte is so copied a third of a time at most while
// a large buffer empties.
func (b *buffers) fit(buffer []byte, from int) []byte {
	rest := buffer[from:]
	if len(rest) <= cap(buffer)/4 && cap(buffer) > smallestBuffer {
		smaller := append(b.get(len(rest)), rest...)
		b.put(buffer)
		return smaller
	}
	return buffer[:copy(buffer, rest)]
}

// append is the built-in one, with buffers from here.
func (b *buffers) append(buffer, more []byte) []byte {
	if need := len(buffer) + len(more); need > cap(buffer) {
		larger := b.get(max(need, 2*cap(buffer)))
		larger = append(larger, buffer...)
		b.put(buffer)
		buffer = larger
	}
	return append(buffer, more...)
}
