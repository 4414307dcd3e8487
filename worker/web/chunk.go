package web

import "strconv"

// maxPending is how much of a body waits for the handler to return, or to write more: a
// body that is not longer has a Content-Length, by net/http's measure.
const maxPending = 2048

// promptness is how much waits in out for more. A handler that writes slowly, and never
// flushes, has its client wait for as much as net/http's does.
const promptness = smallBuffer

// buffer takes data as the next bytes of the body. It returns how much of it was taken
// before the wire failed.
func buffer[T []byte | string](w *response, data T) (int, error) {
	rest := data
	for w.err == nil {
		if w.stage == headed && !w.chunking {
			emit(w, rest)
			w.hurry()
			return len(data), w.err
		}
		room := maxPending - len(w.pending)
		if len(rest) <= room {
			if w.pending == nil {
				w.pending = getBuffer()
			}
			w.pending = append(w.pending, rest...)
			return len(data), nil
		}
		if len(w.pending) == 0 {
			chunk(w, rest)
			return len(data), w.err
		}
		w.pending = append(w.pending, rest[:room]...)
		rest = rest[room:]
		w.flushPending()
	}
	return len(data) - len(rest), w.err
}

// flushPending makes a chunk of what is pending.
func (w *response) flushPending() {
	if len(w.pending) == 0 {
		return
	}
	if w.stage == begun {
		w.completeHead(w.pending)
	}
	chunk(w, w.pending)
	w.pending = w.pending[:0]
}

// chunk puts data out, as one chunk if the body is told by chunks (RFC 9112 section 7.1).
// Nothing is pending, but perhaps data itself.
func chunk[T []byte | string](w *response, data T) {
	if w.stage == begun {
		if w.pending == nil {
			w.pending = getBuffer()
		}
		w.completeHead(append(w.pending[:0], data[:min(len(data), sniffed)]...))
	}
	if w.chunking {
		w.out = strconv.AppendInt(w.out, int64(len(data)), 16)
		w.out = append(w.out, "\r\n"...)
	}
	emit(w, data)
	if w.chunking {
		w.out = append(w.out, "\r\n"...)
	}
	w.hurry()
}

// emit puts data out as it is, unless the request was HEAD. What is in full buffers is
// sent.
func emit[T []byte | string](w *response, data T) {
	if w.isHead {
		return
	}
	for len(data) > 0 && w.err == nil {
		if cap(w.out)-len(w.out) < len(data) {
			w.makeRoom(len(data))
		}
		n := copy(w.out[len(w.out):cap(w.out)], data)
		w.out = w.out[:len(w.out)+n]
		data = data[n:]
	}
}

// makeRoom makes room in out for some of n bytes: in a large buffer, if n needs one.
func (w *response) makeRoom(n int) {
	if len(w.out) == cap(w.out) {
		w.flushOut()
	}
	switch {
	case n < smallBuffer && w.out == nil:
		w.out = getBuffer()
	case n >= smallBuffer && cap(w.out) < largeBuffer:
		small := w.out
		w.out = append(getLargeBuffer(), small...)
		putBuffer(small)
	}
}

// hurry sends what is out if it is much.
func (w *response) hurry() {
	if len(w.out) >= promptness {
		w.flushOut()
	}
}

// flushOut sends what is out.
func (w *response) flushOut() {
	if out := w.out; len(out) > 0 {
		w.out = nil
		w.send(out)
	}
}

// send gives b to the wire, unless that has failed before.
func (w *response) send(b []byte) {
	if w.err != nil {
		putBuffer(b)
		return
	}
	w.err = w.wire.send(b)
}
