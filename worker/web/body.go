package web

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// unreadBytes is how much of a body that its handler has not read is read and dropped, so
// that the connection can serve another request. It is net/http's number.
const unreadBytes = 256 << 10

// body is the Body of a request: net/http's own, which reads chunks and trailers from the
// feed, behind a guard that lets nobody in once the request is over. A handler, or a goroutine that
// it has left behind, may keep it: all it gets then is http.ErrBodyReadAfterClose.
//
// The loop calls feed.put and feed.end; the rest is for the handler's goroutine, but what
// says otherwise.
type body struct {
	feed feed
	// proceed sends 100 Continue, in order with what else is written. It is set before the
	// handler is called, and called by the first Read of a client that waits, with nothing
	// of the body locked; it does nothing if the head of the answer has been written.
	proceed func() error
	// atEnd is called, if it is set, when the end has been read.
	atEnd func()

	expecting bool        // the client waits, or waited, for 100 Continue
	due       atomic.Bool // it is to be sent
	whole     atomic.Bool // the end has been read, and its trailers
	asked     atomic.Bool // likewise, by Read
	over      atomic.Bool // finish has been called

	mu     sync.Mutex // held while the feed is read
	inner  io.ReadCloser
	in     *input
	parsed *http.Request // inner sets its Trailer,
	served *http.Request // which is handed on to this, the handler's
	left   int64         // of a body with a length: bytes to come; negative: of one without
	closed bool          // by the handler
}

// newBody takes in over from the parser. The bytes behind the head are put into its feed.
func newBody(in *input, parsed, served *http.Request) *body {
	b := &body{inner: parsed.Body, in: in, parsed: parsed, served: served, left: parsed.ContentLength}
	b.feed.open(b.left)
	in.feed = &b.feed
	b.expect(parsed)
	served.Body = b
	return b
}

// Read implements io.Reader. It blocks until the client has sent something, or the
// deadline has passed, which is os.ErrDeadlineExceeded.
func (b *body) Read(p []byte) (int, error) {
	if b.over.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	if b.expecting && b.due.CompareAndSwap(true, false) && b.proceed != nil {
		if err := b.proceed(); err != nil {
			return 0, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.over.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.read(p)
	if err == io.EOF {
		b.asked.Store(true)
	}
	if err != nil && b.over.Load() {
		err = http.ErrBodyReadAfterClose // finish has interrupted it
	}
	return n, err
}

// read reads from net/http's body and notes how far that has come. b.mu is held.
func (b *body) read(p []byte) (int, error) {
	n, err := b.inner.Read(p)
	if b.left > 0 {
		b.left -= int64(n)
	}
	if err == io.EOF {
		b.whole.Store(true)
		b.served.Trailer = b.parsed.Trailer // it was nil if the head named none
		if b.atEnd != nil {
			b.atEnd()
		}
	}
	return n, err
}

// Close implements io.Closer: as with net/http it reads on, 256 KiB at most, and blocks
// for that.
func (b *body) Close() error {
	if b.over.Load() {
		return nil
	}
	b.due.Store(false)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.over.Load() {
		return nil
	}
	b.closed = true
	if b.whole.Load() || b.left >= 0 && b.parsed.Close {
		return nil
	}
	if b.left > unreadBytes {
		return nil
	}
	_, err := io.CopyN(io.Discard, readerFunc(b.read), unreadBytes)
	if err == io.EOF || err == http.ErrBodyReadAfterClose { // or its trailer was malformed
		err = nil
	}
	return err
}

// bodyFate is what is left of a body when the head of its answer is written.
type bodyFate uint8

const (
	bodyRead    bodyFate = iota // nothing: another request may follow
	bodyBroken                  // its end cannot be found: the connection is to be closed
	bodyTooLong                 // too much: so too, and the head of the answer says so in any case
)

// settle is called before the head of an answer is written, unless the connection is to
// be closed or the handler has asked for full duplex: many a client reads nothing before
// it has sent all, so that the rest of the body, 256 KiB at most, is read and dropped. It
// blocks for that. b may be nil.
func (b *body) settle() bodyFate {
	if b == nil {
		return bodyRead
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.whole.Load():
		b.closed = b.closed || !b.expecting // as net/http: what a handler reads behind the head fails
		return bodyRead
	case b.closed:
		return bodyBroken
	case b.left >= unreadBytes:
		return bodyTooLong
	}
	switch _, err := io.CopyN(io.Discard, readerFunc(b.read), unreadBytes+1); err {
	case nil:
		return bodyTooLong
	case io.EOF:
		b.closed = true // likewise
		return bodyRead
	}
	return bodyBroken
}

// finish ends the body: whoever keeps it reaches nothing any more. If the connection is
// to be kept, what is unread is read and dropped, 256 KiB at most, for which finish
// blocks; kept tells whether it can be: the end of the body has been found. rest is what
// has come behind what was read: the bytes of the next request if kept, the unread ones of
// the body too if not (of which a hijacker makes what it likes). They are to go in front
// of what the connection has to give: see forweb.Conn.Unread. It is called once, by any
// goroutine; b may be nil.
func (b *body) finish(keep bool) (rest []byte, kept bool) {
	if b == nil {
		return nil, keep
	}
	b.over.Store(true)
	b.due.Store(false)
	if !b.mu.TryLock() {
		b.feed.interrupt() // a goroutine that the handler has left behind reads
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	if keep && !b.whole.Load() && !b.closed && b.left <= unreadBytes {
		_, _ = io.CopyN(io.Discard, readerFunc(b.read), unreadBytes) // whether the end was found is asked below
	}
	// Of a body with a length that its client has not sent whole, net/http's own says
	// io.EOF at the second time.
	kept = keep && b.whole.Load() && b.left <= 0
	if n := b.in.r.Buffered(); n > 0 {
		waiting, _ := b.in.r.Peek(n) // they are there
		rest = append(rest, waiting...)
	}
	rest = b.feed.take(rest)
	putInput(b.in)
	b.in, b.inner = nil, nil
	return rest, kept
}

// setReadDeadline bounds Read, one that waits included; the zero time takes the bound
// away. It is for any goroutine; b may be nil.
func (b *body) setReadDeadline(t time.Time) {
	if b != nil {
		b.feed.setDeadline(t)
	}
}

// readerFunc is a function as an io.Reader.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
