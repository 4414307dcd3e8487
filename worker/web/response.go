package web

import (
	"errors"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
)

// ErrFinished: a ResponseWriter was used behind its request: ServeHTTP has returned.
var ErrFinished = errors.New("web: the handler of this response has returned")

// response is the [http.ResponseWriter] of one request, as net/http's own behaves towards
// a handler and towards the client. What is written goes
//
//	Write ─► pending (up to 2 KiB, until the head is sure) ─► chunks ─► out ─► wire
//
// so that a small answer knows its length and goes as one piece, head and all. It is not
// used again for another request: a handler may keep it, and each method fails once
// ServeHTTP has returned. All methods are for any goroutine.
type response struct {
	mu sync.Mutex // held while a method runs, also while it waits for a slow peer

	wire     wire
	request  *http.Request
	body     *body // nil: the request has none
	settings *settings
	peer     string // the client's address, for the log

	header  http.Header // the handler's; nil until it asks for it
	head    head
	pending []byte // of the body, before it is known whether more comes
	out     []byte // on the way to the wire
	err     error  // the wire's first

	status  int   // 0 until it is written
	written int64 // bytes of the body that the handler has written
	length  int64 // of the body, when it is known; else -1

	stage      stage
	http11     bool // the request is of HTTP/1.1 or later
	isHead     bool // the request's method is HEAD
	keepsAlive bool // the request is of HTTP/1.0, and asks to keep the connection
	wantsClose bool // the request asks to close it
	closing    bool // the connection ends behind this response
	chunking   bool
	duplex     bool // the handler reads the body while it writes
	returned   bool // ServeHTTP has
	exceeded   bool // the handler wrote more than it had declared
	flushed    bool // the handler has

	proceeds atomic.Bool // a 100 Continue may be sent
	trailers []string    // names of declared fields behind the body

	rest []byte // what was read behind the body, for the next request

	life       life
	notify     chan bool   // CloseNotify's
	stopNotify func() bool // ends the watch for it
}

// stage is how far a response has come.
type stage uint8

const (
	fresh    stage = iota // nothing was said
	begun                 // the status is said, and fields no longer count
	headed                // the head is made: in out, or beyond
	hijacked              // the handler has the connection
	finished              // ServeHTTP has returned
)

// open makes a zero response that to r, which was just read. body is r.Body, or nil if r
// has none.
func (w *response) open(r *http.Request, body *body, wire wire, s *settings) {
	connection := ""
	if v := r.Header["Connection"]; len(v) > 0 {
		connection = v[0]
	}
	w.wire, w.request, w.body, w.settings, w.peer = wire, r, body, s, r.RemoteAddr
	w.length = -1
	w.http11 = r.ProtoAtLeast(1, 1)
	w.isHead = r.Method == http.MethodHead
	w.keepsAlive = r.ProtoMajor == 1 && r.ProtoMinor == 0 && hasToken(connection, "keep-alive")
	w.wantsClose = r.Close || hasToken(connection, "close")
	if body != nil && body.expecting {
		w.proceeds.Store(true)
		body.proceed = w.proceed
	}
}

// Header is http.ResponseWriter's. It returns the same map each time; what is set in it
// once the status is written goes into no head, but perhaps into the trailer.
func (w *response) Header() http.Header {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.header == nil {
		w.header = make(http.Header)
	}
	return w.header
}

// WriteHeader is http.ResponseWriter's. It panics if code has not three digits.
func (w *response) WriteHeader(code int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stage != fresh {
		w.blame("WriteHeader")
		return
	}
	if code < 100 || code > 999 {
		panic("invalid WriteHeader code " + strconv.Itoa(code))
	}
	if code == http.StatusContinue || code > 199 || code < 101 {
		w.proceeds.Store(false)
	}
	if code < 200 && code != http.StatusSwitchingProtocols {
		w.inform(code)
		return
	}
	w.begin(code)
}

// inform sends a response before the response (RFC 9110 section 15.2).
func (w *response) inform(code int) {
	if w.body != nil && overLimit(w.request.Body) {
		w.refuseRest()
	}
	var h head
	b := h.compose(getBuffer(), w.http11, code, w.header)
	b = h.transferEncoding.cut(b)
	b = h.contentLength.cut(b)
	w.send(append(b, "\r\n"...))
}

// begin says the status, and with it what is in the header.
func (w *response) begin(status int) {
	w.proceeds.Store(false)
	w.stage, w.status = begun, status
	if overLimit(w.request.Body) {
		w.refuseRest()
	}
	w.out = w.head.compose(getBuffer(), w.http11, status, w.header)
	if w.head.trailer {
		w.declareTrailers()
	}
	if value := w.head.contentLength.value; value != "" {
		n, err := strconv.ParseInt(value, 10, 64)
		if err == nil && n >= 0 {
			w.length = n
		} else {
			w.settings.logf("http: invalid Content-Length of %q", value)
			delete(w.header, "Content-Length")
		}
	}
}

// Write is http.ResponseWriter's. Errors, beside those of the wire: ErrFinished,
// [http.ErrHijacked], [http.ErrBodyNotAllowed], [http.ErrContentLength].
func (w *response) Write(data []byte) (int, error) { return write(w, data) }

// WriteString is io.StringWriter's; see Write.
func (w *response) WriteString(data string) (int, error) { return write(w, data) }

// write is Write and WriteString.
func write[T []byte | string](w *response, data T) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable("Write", len(data)); err != nil {
		return 0, err
	}
	if w.stage == fresh {
		w.begin(http.StatusOK)
	}
	switch {
	case len(data) == 0:
		return 0, nil
	case !bodyAllowed(w.status):
		return 0, http.ErrBodyNotAllowed
	case !w.fits(int64(len(data))):
		return 0, http.ErrContentLength
	}
	w.written += int64(len(data))
	return buffer(w, data)
}

// usable returns the error of a response that has ended.
func (w *response) usable(method string, n int) error {
	switch w.stage {
	case hijacked:
		if n > 0 {
			w.blame(method)
		}
		return http.ErrHijacked
	case finished:
		return ErrFinished
	}
	return nil
}

// fits reports whether n more bytes are within the length that the handler has declared.
func (w *response) fits(n int64) bool {
	if w.length >= 0 && w.written+n > w.length {
		w.exceeded = true
	}
	return !w.exceeded
}

// proceed sends 100 Continue, once, unless the response has begun. The body calls it when
// it is first read, on any goroutine.
func (w *response) proceed() error {
	if !w.proceeds.Load() {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stage == fresh && w.proceeds.Swap(false) {
		w.send(append(getBuffer(), "HTTP/1.1 100 Continue\r\n\r\n"...))
	}
	return w.err
}

// end finishes the response: ServeHTTP has returned, or panicked with what recover has
// returned. It is to be called by the function that was deferred, so that the log shows
// where the panic comes from. From here on each method fails.
//
// It sends what is left, reads what may be left of the body, and calls the wire's finish,
// but for a hijacked connection. What was read behind the body is then in w.rest.
func (w *response) end(panicked any) {
	if panicked != nil && panicked != http.ErrAbortHandler {
		w.logPanic(panicked)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	how := closeAfter
	switch {
	case w.stage == hijacked:
	case panicked == nil:
		how = w.complete()
	default:
		how = w.interrupt()
	}
	if w.err != nil {
		how = w.cutShort()
	}
	taken := w.stage == hijacked
	w.stage = finished
	w.life.end(ErrFinished)
	if !taken {
		last := w.out
		w.out = nil
		w.close(last, how)
	}
	w.release()
}

// close gives the last bytes to the wire.
func (w *response) close(last []byte, how ending) {
	if w.err != nil {
		putBuffer(last)
		last = nil
	}
	if err := w.wire.finish(last, how); w.err == nil {
		w.err = err
	}
	if w.request.MultipartForm != nil {
		_ = w.request.MultipartForm.RemoveAll() // as net/http: temporary files, and nobody to be told
	}
}

// release gives back what the response has borrowed.
func (w *response) release() {
	putBuffer(w.pending)
	putBuffer(w.out)
	w.pending, w.out = nil, nil
	if w.stopNotify != nil {
		w.stopNotify()
		w.stopNotify = nil
	}
}

// complete makes the rest of the response, and returns how the connection goes on.
func (w *response) complete() ending {
	w.returned = true
	if w.stage == fresh {
		w.begin(http.StatusOK)
	}
	w.flushPending()
	if w.stage == begun {
		w.completeHead(nil)
	}
	if w.chunking {
		w.out = w.appendTrailer(append(w.out, "0\r\n"...))
	}
	keep := !w.closing && w.isWhole()
	if w.body != nil {
		keep = keep && !overLimit(w.request.Body) // also if it was read behind the head
		if w.duplex && keep {
			w.flushOut() // the client may wait for it before it sends the rest
		}
		w.rest, keep = w.body.finish(keep)
	}
	if keep {
		return keepAlive
	}
	return closeAfter
}

// sent is how many bytes of the body the client was sent, for the log of accesses.
func (w *response) sent() int64 {
	if w.isHead {
		return 0
	}
	return w.written
}

// isWhole reports whether the body is as long as was said.
func (w *response) isWhole() bool {
	return w.isHead || w.length < 0 || !bodyAllowed(w.status) || w.length == w.written && !w.exceeded
}

// interrupt ends a response whose handler has panicked, and returns how the connection
// ends.
func (w *response) interrupt() ending {
	if w.body != nil {
		w.body.finish(false)
	}
	if w.stage != headed {
		putBuffer(w.out) // as net/http: the head was not sent
		w.out = nil
	}
	return w.cutShort()
}

// cutShort returns how the connection ends behind a response that is not whole. A client
// sees that by the length or by the last chunk, if it has those.
func (w *response) cutShort() ending {
	if w.stage == headed && !w.chunking && w.length < 0 && bodyAllowed(w.status) && !w.isHead {
		return abort
	}
	return closeAfter
}

// logPanic logs what a handler has panicked with, in net/http's words.
func (w *response) logPanic(panicked any) {
	stack := make([]byte, 64<<10)
	stack = stack[:runtime.Stack(stack, false)]
	w.settings.logf("http: panic serving %v: %v\n%s", w.peer, panicked, stack)
}
