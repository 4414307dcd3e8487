package web

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestEndings is about what a client sees of the end of a response, beyond its bytes.
func TestEndings(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name, raw string
		wire      *recorder
		handler   func(rw, req)
		want      ending
		contains  string
	}{
		{"whole", get11, &recorder{}, say(0, "x"), keepAlive, "200 OK"},
		{"the worker leaves", get11, &recorder{closes: true}, say(0, "x"), closeAfter, "\r\nConnection: close\r\n"},
		{"the worker leaves, the handler keeps", get11, &recorder{closes: true}, say(0, "x", "Connection", "keep-alive"), closeAfter, "\r\nConnection: close\r\n"},
		{"the worker leaves, HTTP/1.0", keep10, &recorder{closes: true}, say(0, "x"), closeAfter, "plain; charset=utf-8\r\n\r\nx"},
		{"the wire has failed", get11, &recorder{fails: broken}, say(0, strings.Repeat("x", 10_000)), closeAfter, "chunked"},
		{"the wire has failed, HTTP/1.0", get10, &recorder{fails: broken}, say(0, strings.Repeat("x", 10_000)), abort, "200 OK"},
		{"panic before anything", get11, &recorder{}, func(rw, req) { panic(1) }, closeAfter, ""},
		{"panic in chunks", get11, &recorder{}, func(w rw, r req) { times(3, strings.Repeat("x", 3000))(w, r); panic(1) }, closeAfter, "chunked"},
		{"panic in a body that ends with the connection", get10, &recorder{}, func(w rw, r req) { times(3, strings.Repeat("x", 3000))(w, r); panic(1) }, abort, "200 OK"},
		{"too short", get11, &recorder{}, say(0, "x", "Content-Length", "2"), closeAfter, "Content-Length: 2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wire := test.wire
			serveForTest(t, test.raw, http.HandlerFunc(test.handler), wire, io.Discard)
			if wire.ending != test.want || !strings.Contains(wire.sent.String(), test.contains) {
				t.Errorf("ending %d, want %d, of %q", wire.ending, test.want, short(wire.sent.String()))
			}
			if test.contains == "" && test.want == closeAfter && wire.sent.Len() > 0 {
				t.Errorf("sent %q", wire.sent.String())
			}
		})
	}
}

// TestSentBytes is about the number that the access log has.
func TestSentBytes(t *testing.T) {
	for _, test := range []struct {
		name, raw string
		handler   func(rw, req)
		want      int64
	}{
		{"GET", get11, say(0, "hello"), 5},
		{"HEAD", head11, say(0, "hello"), 0},
		{"too much", get11, say(0, "hello", "Content-Length", "2"), 0},
		{"a file", get11, func(w rw, r req) { copyTo(w, file(100_000)) }, 100_000},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, _ := serveForTest(t, test.raw, http.HandlerFunc(test.handler), new(recorder), io.Discard)
			if got := accessOf(w.request, w, time.Now(), 0).Bytes; got != test.want {
				t.Errorf("%d bytes, want %d", got, test.want)
			}
		})
	}
}
