package web

import "sync"

// The buffers that responses are made in. Both hold a head and what a handler writes at
// once; the large ones are for what is written in large pieces.
const (
	smallBuffer = 4 << 10
	largeBuffer = 32 << 10
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
)

// getBuffer returns an empty buffer of 4 KiB, which belongs to the caller until it gives
// it to a wire or to putBuffer. It is for any goroutine.
func getBuffer() []byte { return smallBuffers.Get().(*[smallBuffer]byte)[:0] }

// getLargeBuffer is getBuffer with 32 KiB.
func getLargeBuffer() []byte { return largeBuffers.Get().(*[largeBuffer]byte)[:0] }

// putBuffer takes back a buffer, which nobody may use any more. One that append has
// replaced by a longer one is left to the garbage collector; nil is none.
func putBuffer(b []byte) {
	switch cap(b) {
	case smallBuffer:
		smallBuffers.Put((*[smallBuffer]byte)(b[:smallBuffer]))
	case largeBuffer:
		largeBuffers.Put((*[largeBuffer]byte)(b[:largeBuffer]))
	}
}
