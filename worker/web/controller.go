package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"time"
)

// life says whether a response may still touch its connection. It has a lock of its own,
// for what must not wait behind a write that waits for a slow peer.
type life struct {
	mu   sync.Mutex
	over error // ErrFinished or http.ErrHijacked
}

// during calls f unless the response is over, which it is not before f returns.
func (l *life) during(f func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over != nil {
		return l.over
	}
	return f()
}

// end makes each later during fail with err.
func (l *life) end(err error) {
	l.mu.Lock()
	l.over = err
	l.mu.Unlock()
}

// Flush is http.Flusher's.
func (w *response) Flush() { _ = w.FlushError() } // the interface has no error

// FlushError sends what has been written so far, the head at least, and waits while the
// peer is slow. Errors: those of Write.
func (w *response) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable("Flush", 0); err != nil {
		return err
	}
	if !w.flushed {
		w.flushed = true
		w.wire.streams()
	}
	w.flush()
	return w.err
}

// flush sends all that was written.
func (w *response) flush() {
	if w.stage == fresh {
		w.begin(http.StatusOK)
	}
	w.flushPending()
	if w.stage == begun {
		w.completeHead(nil)
	}
	w.flushOut()
}

// Hijack is http.Hijacker's. The connection stays on the worker's loop. Errors:
// [http.ErrHijacked], ErrFinished, an error that is [http.ErrNotSupported] with Inline,
// those of the wire.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable("Hijack", 0); err != nil {
		return nil, nil, err
	}
	wire, ok := w.wire.(hijacker)
	if !ok {
		return nil, nil, errCannotHijack
	}
	w.proceeds.Store(false)
	if w.stage != fresh {
		w.flush()
	}
	if w.err != nil {
		return nil, nil, w.err
	}
	if w.body != nil {
		w.rest, _ = w.body.finish(false)
	}
	w.stage = hijacked
	w.life.end(http.ErrHijacked)
	w.release()
	return wire.hijack(w.rest)
}

// errCannotHijack is what [http.ResponseController] says where there is no Hijacker.
var errCannotHijack = fmt.Errorf("web: a handler on the loop cannot hijack: %w", http.ErrNotSupported)

// SetReadDeadline is [http.ResponseController]'s: reading the request's body fails after t
// with [os.ErrDeadlineExceeded]. It does not wait.
func (w *response) SetReadDeadline(t time.Time) error {
	return w.life.during(func() error {
		w.body.setReadDeadline(t)
		return nil
	})
}

// SetWriteDeadline is [http.ResponseController]'s: writing fails after t with
// [os.ErrDeadlineExceeded]. It does not wait.
func (w *response) SetWriteDeadline(t time.Time) error {
	return w.life.during(func() error { return w.wire.setWriteDeadline(t) })
}

// EnableFullDuplex is [http.ResponseController]'s: the body is not read to its end before
// the head of the response is sent.
func (w *response) EnableFullDuplex() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable("EnableFullDuplex", 0); err != nil {
		return err
	}
	w.duplex = true
	return nil
}

// CloseNotify is http.CloseNotifier's, which is deprecated. The channel gets a value when
// the request's context ends before the handler has returned. It panics, as net/http's,
// when the handler has returned.
func (w *response) CloseNotify() <-chan bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stage == finished {
		panic("web: CloseNotify called after ServeHTTP finished")
	}
	if w.notify == nil {
		notify := make(chan bool, 1)
		w.notify = notify
		w.stopNotify = context.AfterFunc(w.request.Context(), func() { notify <- true })
	}
	return w.notify
}

// limited is what http.MaxBytesReader returns.
var limited = reflect.TypeOf(http.MaxBytesReader(nil, http.NoBody, 0))

// overLimit reports whether body is an http.MaxBytesReader that was read up to its limit. It
// tells that to net/http's own responses alone, by a method that no other package can have;
// but to a read of no bytes it says so to anybody.
func overLimit(body io.Reader) bool {
	if reflect.TypeOf(body) != limited {
		return false
	}
	_, err := body.Read(nil)
	_, over := err.(*http.MaxBytesError)
	return over
}

// refuseRest is what net/http does when a body was longer than a handler's limit: it reads
// no more of it, and the connection closes.
func (w *response) refuseRest() {
	w.closing = true
	if w.header == nil {
		w.header = make(http.Header)
	}
	w.header.Set("Connection", "close")
}

// blame logs that a method was called that has no effect any more, in net/http's words, and
// by whom.
func (w *response) blame(method string) {
	what := "superfluous response." + method + " call"
	if w.stage == hijacked {
		what = "response." + method + " on hijacked connection"
	}
	caller := outsideCaller()
	w.settings.logf("http: %s from %s (%s:%d)", what, caller.Function, path.Base(caller.File), caller.Line)
}

// outsideCaller returns the innermost caller beyond this package's response.
func outsideCaller() runtime.Frame {
	pc := make([]uintptr, 16)
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc)])
	for {
		frame, more := frames.Next()
		if !more || !strings.Contains(frame.Function, "/web.(*response)") && !strings.Contains(frame.Function, "/web.write[") {
			return frame
		}
	}
}
