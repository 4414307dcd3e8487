package web

import (
	"strconv"
	"time"
)

// completeHead decides how the body is told from what follows it (RFC 9112 section 6), and
// whether the connection goes on, then makes the rest of the head. first is the
// first bytes of the body, at least 512 unless it has fewer; if the handler has returned,
// it is the whole body. The fields of our own are those that net/http adds, in its order.
func (w *response) completeHead(first []byte) {
	h := &w.head
	last := w.wire.last()
	counted := w.count(len(first))
	connection := w.persist(last)
	if w.body != nil && (w.body.unasked() || overLimit(w.request.Body)) {
		w.closing = true
	}
	tooLong := w.body != nil && !w.closing && !w.duplex && w.settleBody()
	if tooLong {
		connection = "close"
	}
	coding, sniffs := h.transferEncoding.value, w.sniffs() // before its lines go
	lengthStays := w.frame()

	// What is cut moves what is behind it: the last comes first.
	if !w.chunking || coding == "chunked" {
		w.out = h.transferEncoding.cut(w.out)
	}
	if !lengthStays {
		w.out = h.contentLength.cut(w.out)
	}
	if w.closing && !h.upgrade && (last || tooLong || !hasToken(h.connection.value, "close")) {
		w.out = h.connection.cut(w.out)
		if w.http11 {
			connection = "close"
		} else if !tooLong {
			connection = "" // rather than the keep-alive that the client asked for
		}
	}
	w.appendOwn(first, sniffs, counted, connection)
	w.stage = headed
}

// count takes n for the length of the body if the handler has returned without saying one.
// To HEAD, nothing written does not mean that a body to GET would be empty.
func (w *response) count(n int) bool {
	h := &w.head
	if !w.returned || h.trailer || h.transferEncoding.value != "" || !bodyAllowed(w.status) ||
		h.contentLength.set || w.isHead && n == 0 {
		return false
	}
	w.length = int64(n)
	return true
}

// persist decides whether the connection goes on as far as request and header say it, and
// returns what an HTTP/1.0 client is to be told.
func (w *response) persist(last bool) (connection string) {
	h := &w.head
	if w.keepsAlive && !last && h.contentLength.value != "" && h.connection.value == "keep-alive" {
		w.closing = false
	}
	if w.keepsAlive && (w.isHead || w.length >= 0 || !bodyAllowed(w.status)) {
		if !h.connection.set {
			connection = "keep-alive"
		}
	} else if !w.http11 || w.wantsClose {
		w.closing = true
	}
	if h.connection.value == "close" || last {
		w.closing = true
	}
	return connection
}

// frame decides how the end of the body is told: by its length, by chunks, or by the end
// of the connection. It reports whether a Content-Length may stay.
func (w *response) frame() (lengthStays bool) {
	h := &w.head
	known, coding := w.length >= 0, h.transferEncoding.value
	lengthStays = bodyAllowed(w.status)
	if known && coding != "" && coding != "identity" {
		w.settings.logf("http: WriteHeader called with both Transfer-Encoding of %q and a Content-Length of %d", coding, w.length)
		known, lengthStays = false, false
	}
	switch {
	case w.isHead, !bodyAllowed(w.status), known:
	case w.http11 && coding != "identity":
		w.chunking, lengthStays = true, false
	default:
		w.closing = true
	}
	return lengthStays
}

// sniffs reports whether the type of the body is to be told from its first bytes. As with
// net/http that of an encoded one is not.
func (w *response) sniffs() bool {
	h := &w.head
	return bodyAllowed(w.status) && !h.encoded && !h.contentType && h.transferEncoding.value == ""
}

// settleBody reads what is left of the request's body, since many clients send it all
// before they read. It reports whether that was too much, so that the client is to be told
// that the connection closes.
func (w *response) settleBody() (tooLong bool) {
	fate := w.body.settle()
	if fate != bodyRead {
		w.closing = true
	}
	return fate == bodyTooLong
}

// appendOwn ends the head with the fields that the handler has not set.
func (w *response) appendOwn(first []byte, sniffs, counted bool, connection string) {
	h, b := &w.head, w.out
	if !h.date {
		b = appendDate(b, time.Now())
	}
	if counted {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, w.length, 10)
		b = append(b, "\r\n"...)
	}
	if sniffs && len(first) > 0 {
		b = appendOwnField(b, "Content-Type: ", contentTypeOf(first))
	}
	if connection != "" {
		b = appendOwnField(b, "Connection: ", connection)
	}
	if w.chunking {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	w.out = append(b, "\r\n"...)
}

func appendOwnField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}
