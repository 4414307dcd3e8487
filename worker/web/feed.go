package web

import (
	"io"
	"os"
	"sync"
	"time"
)

const (
	// feedBytes is the most that a feed holds. A handler that reads more slowly than its
	// client sends leaves the rest to the kernel's buffers, and so to the client.
	feedBytes = 64 << 10
	feedLeast = 4 << 10 // what it begins with; both are powers of two
)

// feed takes the bytes of a request's body from the loop to the handler's goroutine. It
// is a ring:
//
//	loop: put ──► ring, at most feedBytes ──► Read: handler's goroutine
//	        ▲                                  │
//	        └── resume, once half is free ◄────┘
//
// The zero value takes nothing: see open.
type feed struct {
	// resume is called when put has not taken all, and there is room again: at most once
	// for each such put, on the reader's goroutine. It is to hand that on to the loop.
	resume func()

	mu       sync.Mutex
	readable sync.Cond // its L is &mu from open on
	ring     []byte    // its length is a power of two, or 0
	start    int       // where in ring the bytes that wait begin
	waiting  int       // how many wait
	left     int64     // what put may take yet of a body with a length; negative: of one without
	short    bool      // put has left something: resume is due
	err      error     // what comes behind the bytes that wait
	closed   bool      // by take
	deadline time.Time // of Read; zero: none
	timer    *time.Timer
}

// open begins a feed. It takes length bytes; if that is negative, any number.
func (f *feed) open(length int64) {
	f.left = length
	f.readable.L = &f.mu
}

// put takes bytes from the front of in, copies them and returns their number: as many as
// there is room for, and of a body with a length no more than that. If that is not all of
// in, the caller reads no more, and gives the rest again when resume has been called; what
// is behind a body's end it keeps for the next request. Only the loop calls it. It does
// not block.
func (f *feed) put(in []byte) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.err != nil {
		return 0
	}
	if f.left >= 0 && int64(len(in)) > f.left {
		in = in[:f.left]
	}
	n = min(len(in), feedBytes-f.waiting)
	f.short = n < len(in)
	if n == 0 {
		return 0
	}
	f.grow(f.waiting + n)
	end := (f.start + f.waiting) & (len(f.ring) - 1)
	if first := copy(f.ring[end:], in[:n]); first < n {
		copy(f.ring, in[first:n])
	}
	f.waiting += n
	if f.left > 0 {
		f.left -= int64(n)
	}
	f.readable.Broadcast() // whoever comes first may leave some for the next
	return n
}

// end says what comes behind the bytes that wait: io.EOF if the client has ended, or why
// nothing more comes. What is said first counts. Only the loop calls it.
func (f *feed) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
	f.readable.Broadcast()
}

// setDeadline bounds Read, one that waits included; the zero time takes the bound away.
// It is for any goroutine.
func (f *feed) setDeadline(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.deadline = t
	f.stopTimer() // whoever waits starts it anew
	f.readable.Broadcast()
}

// Read blocks until there are bytes, an end or the deadline, which is
// os.ErrDeadlineExceeded, even if there are bytes, as with a net.Conn. It is for any
// goroutine: several at a time share what comes.
func (f *feed) Read(p []byte) (int, error) {
	f.mu.Lock()
	n, err := f.read(p)
	resume := f.short && f.err == nil && feedBytes-f.waiting >= feedBytes/2
	if resume {
		f.short = false
	}
	f.mu.Unlock()
	if resume && f.resume != nil {
		f.resume()
	}
	return n, err
}

func (f *feed) read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		switch {
		case f.closed:
			return 0, io.ErrClosedPipe
		case f.late():
			return 0, os.ErrDeadlineExceeded
		case f.waiting > 0:
			return f.shift(p), nil
		case f.err != nil:
			return 0, f.err
		}
		f.readable.Wait()
	}
}

// late tells whether the deadline has passed; if it has not, readers will be woken then.
func (f *feed) late() bool {
	if f.deadline.IsZero() {
		return false
	}
	wait := time.Until(f.deadline)
	if wait <= 0 {
		return true
	}
	if f.timer == nil && f.waiting == 0 && f.err == nil {
		f.timer = time.AfterFunc(wait, f.wake)
	}
	return false
}

func (f *feed) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopTimer()
	f.readable.Broadcast()
}

func (f *feed) stopTimer() {
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
}

// shift moves bytes that wait to p.
func (f *feed) shift(p []byte) int {
	n := min(len(p), f.waiting)
	if first := copy(p[:n], f.ring[f.start:]); first < n {
		copy(p[first:n], f.ring)
	}
	f.waiting -= n
	f.start = (f.start + n) & (len(f.ring) - 1)
	return n
}

// grow makes room for size bytes in all, of at most feedBytes.
func (f *feed) grow(size int) {
	if size <= len(f.ring) {
		return
	}
	length := max(len(f.ring), feedLeast)
	for length < size {
		length *= 2
	}
	ring := make([]byte, length)
	waiting := f.waiting
	f.shift(ring[:waiting])
	f.ring, f.start, f.waiting = ring, 0, waiting
}

// take ends the feed, appends the bytes that wait to b and returns it. Who reads, or reads
// later, gets an error; put takes nothing more.
func (f *feed) take(b []byte) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := f.waiting; n > 0 {
		b = append(b, make([]byte, n)...)
		f.shift(b[len(b)-n:])
	}
	f.closed, f.ring = true, nil
	f.stopTimer()
	f.readable.Broadcast()
	return b
}

// interrupt ends the Read that is under way, and those that come, and keeps what waits
// for take.
func (f *feed) interrupt() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.readable.Broadcast()
}
