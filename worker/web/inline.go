package web

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// InlineHandler is a handler that serves some requests on the loop, since all that they
// need is at hand, and the others on a goroutine.
type InlineHandler interface {
	http.Handler
	// ServeInline is called on the loop, for requests without a body, and must not block. If
	// it returns false it has written nothing, and ServeHTTP is called on a goroutine, with
	// the same request.
	ServeInline(w http.ResponseWriter, r *http.Request) (served bool)
}

const (
	// maxInlineBody is the longest body, in bytes, that is waited for to serve its request
	// on the loop.
	maxInlineBody = 64 << 10
	// maxAttempts is how often a chunked body is read in the hope that it is here whole.
	maxAttempts = 8
)

// inlined is a request that is served on the loop, within Data, and the wire of its answer:
// the connection itself.
type inlined struct {
	requestContext
	response response
	ending   ending
	final    bool  // the connection is to end behind this answer
	err      error // of Write
}

// beginInline is begin where requests may be served on the loop.
func (t *incoming) beginInline(in []byte, end int) (used int, on bool) {
	x := new(inlined)
	x.final = t.heading != nil && t.heading.last
	r, b, err := t.read(&x.requestContext, in[:end])
	switch {
	case err != nil:
		return t.refuse(err, in), false
	case b == nil:
		if served, on := t.tryInline(x, r, nil); served {
			return end, on
		}
	case t.server.inline && !b.expecting && !t.ended:
		if used, on, decided := t.gather(x, r, b, in, end); decided {
			return used, on
		}
		if r, b, err = t.read(&x.requestContext, in[:end]); err != nil {
			return t.refuse(err, in), false
		}
	}
	y := &exchange{requestContext: &x.requestContext}
	return t.start(y, r, b, in, end), false
}

// gather serves a request with a body once that is here whole. used is 0 while it waits for
// more. decided is false if it does not wait. r and b are used up in any case.
func (t *incoming) gather(x *inlined, r *http.Request, b *body, in []byte, end int) (used int, on, decided bool) {
	n := int(min(r.ContentLength, maxInlineBody+1))
	switch {
	case n < 0:
		return t.gatherChunks(x, b, in, end)
	case n > maxInlineBody:
		b.finish(false)
		return 0, false, false
	case len(in) < end+n:
		b.finish(false)
		t.waitFor(end + n)
		return 0, false, true
	}
	b.feed.put(in[end : end+n])
	_, on = t.tryInline(x, r, b)
	return end + n, on, true
}

// gatherChunks is gather for a chunked body, whose end only reading it tells; then its
// request is read again. To do so again and again costs time, so that the number of attempts
// is bounded.
func (t *incoming) gatherChunks(x *inlined, b *body, in []byte, end int) (used int, on, decided bool) {
	put := b.feed.put(in[end:])
	b.feed.end(io.EOF)
	_, err := io.Copy(io.Discard, b)
	rest, _ := b.finish(false)
	switch {
	case err == nil:
		used = end + put - len(rest)
		r, again, err := t.read(&x.requestContext, in[:end])
		if err != nil {
			return 0, false, false // it cannot be: it was read before
		}
		again.feed.put(in[end : end+put]) // what is behind it, too: net/http looks ahead for the end of a trailer
		again.feed.end(io.EOF)
		_, on = t.tryInline(x, r, again)
		return used, on, true
	case errors.Is(err, io.ErrUnexpectedEOF) && put < maxInlineBody:
		h := t.remember()
		if h.attempts++; h.attempts < maxAttempts {
			t.waitFor(len(in) + 1)
			return 0, false, true
		}
	}
	return 0, false, false // too long, or malformed, which the handler is to see
}

// waitFor has the request wait until n bytes of it are here.
func (t *incoming) waitFor(n int) {
	h := t.remember()
	h.whole, h.searched = n, 0
	if d := t.server.readTimeout; d > 0 {
		if h.began.IsZero() {
			h.began = time.Now()
		}
		h.bound(t.conn, time.Until(t.timed(h.began).Add(d)))
	} else {
		h.stop() // of the head alone
	}
	t.conn.SetMaxInput(t.server.maxInput())
}

// tryInline serves a request on the loop. served is false, and nothing is done, if its
// handler wants a goroutine; on says whether the next one may begin.
func (t *incoming) tryInline(x *inlined, r *http.Request, b *body) (served, on bool) {
	s, c := t.server, t.conn
	w := &x.response
	w.open(r, b, x, &s.settings)
	if s.inline {
		began := t.headDone()
		x.serve(w, r, s.handlerFor(r))
		s.answered(c, r, w, began)
	} else {
		began := time.Now()
		if !x.ask(w, r, s.inlineHandler) {
			return false, false
		}
		if h := t.headDone(); h.Before(began) {
			began = h
		}
		s.answered(c, r, w, began)
	}
	if s.writeTimeout > 0 && c.Buffered() > 0 {
		c.SetWriteDeadline(time.Now().Add(s.writeTimeout))
	}
	if x.after(); x.ending != keepAlive {
		return true, false
	}
	t.goOn(r)
	return true, c.Flowing()
}

// serve calls the handler, and ends its answer.
func (x *inlined) serve(w *response, r *http.Request, h http.Handler) {
	defer func() {
		panicked := recover()
		x.requestContext.end(nil)
		w.end(panicked)
	}()
	h.ServeHTTP(w, r)
}

// ask asks the handler whether it serves r on the loop. If not, nothing has been done.
func (x *inlined) ask(w *response, r *http.Request, h InlineHandler) (served bool) {
	defer func() {
		if panicked := recover(); served || panicked != nil {
			served = true
			x.requestContext.end(nil)
			w.end(panicked)
		}
	}()
	return h.ServeInline(w, r)
}

// after ends the connection if the answer was its last.
func (x *inlined) after() {
	switch {
	case x.ending == abort:
		cut(x.conn)
	case x.ending == closeAfter:
		closeQuietly(x.conn)
	}
}

// send is wire's.
func (x *inlined) send(b []byte) error {
	if x.err == nil && len(b) > 0 {
		_, x.err = x.conn.Write(b)
	}
	putBuffer(b)
	return x.err
}

// sendFile is wire's.
func (x *inlined) sendFile(f *os.File, off, n int64) error {
	return fileError(x.conn.SendFile(f, off, n))
}

// finish is wire's.
func (x *inlined) finish(b []byte, e ending) error {
	x.ending = e
	return x.send(b)
}

// setWriteDeadline is wire's.
func (x *inlined) setWriteDeadline(d time.Time) error {
	x.conn.SetWriteDeadline(d)
	return nil
}

// last is wire's.
func (x *inlined) last() bool { return x.final }

// streams is wire's.
func (x *inlined) streams() {}
