package web

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestHijack(t *testing.T) {
	tests := []struct {
		name, raw    string
		before       func(w rw, r req)
		sent, buffer string
	}{
		{"at once", get11, func(rw, req) {}, "", ""},
		{"with the body", post("Content-Length: 5\r\n", "hello"), func(rw, req) {}, "", "hello"},
		{"behind some of the body", post("Content-Length: 5\r\n", "hello"), func(_ rw, r req) {
			_, _ = io.ReadFull(r.Body, make([]byte, 2))
		}, "", "llo"},
		{"behind a status", get11, func(w rw, r req) {
			w.Header().Set("Date", "-")
			w.Header().Set("Connection", "upgrade")
			w.Header().Set("Upgrade", "x")
			w.WriteHeader(101)
		}, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nDate: -\r\nUpgrade: x\r\n\r\n", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			client, server := net.Pipe()
			defer client.Close()
			wire := &recorder{server: server}
			var logged lockedLog
			h := func(w rw, r req) {
				test.before(w, r)
				c, buffered, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				got := make([]byte, len(test.buffer))
				if _, err := io.ReadFull(buffered, got); err != nil || string(got) != test.buffer {
					t.Errorf("in the buffer: %q, %v", got, err)
				}
				if _, _, err := w.(http.Hijacker).Hijack(); !errors.Is(err, http.ErrHijacked) {
					t.Errorf("a second time: %v", err)
				}
				if _, err := io.WriteString(w, "x"); !errors.Is(err, http.ErrHijacked) {
					t.Errorf("a write: %v", err)
				}
				w.WriteHeader(200)
				if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrHijacked) {
					t.Errorf("a flush: %v", err)
				}
			}
			serveForTest(t, test.raw, http.HandlerFunc(h), wire, &logged)
			if wire.finished != 0 || wire.sent.String() != test.sent {
				t.Errorf("sent %q, and finished %d times", wire.sent.String(), wire.finished)
			}
			for _, method := range []string{"Write", "WriteHeader"} {
				if !strings.Contains(logged.text(), "http: response."+method+" on hijacked connection from ") {
					t.Errorf("logged %q", logged.text())
				}
			}
		})
	}
}

// plainWire is a wire without Hijack, as that on the loop.
type plainWire struct{ wire }

func TestHijackOnTheLoop(t *testing.T) {
	r, _, _ := readForTest(t, get11)
	var sent recorder
	w := newResponse(r, nil, plainWire{&sent}, &settings{})
	if _, _, err := w.Hijack(); !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("%v", err)
	}
	w.end(nil)
	if sent.finished != 1 {
		t.Error("the response was not finished")
	}
}

// TestFullDuplex reads the body behind the head: the rest of it is read at the end.
func TestFullDuplex(t *testing.T) {
	var wire recorder
	_, behind := serveForTest(t, post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\nnext"), http.HandlerFunc(func(w rw, r req) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		w.(http.Flusher).Flush()
		if got, err := bufio.NewReader(r.Body).ReadString('e'); got != "he" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}), &wire, io.Discard)
	if wire.ending != keepAlive || behind != "next" {
		t.Errorf("ending %v, left %q", wire.ending, behind)
	}
}

func TestCloseNotify(t *testing.T) {
	r, _, _ := readForTest(t, get11)
	ctx, gone := context.WithCancel(context.Background())
	w := newResponse(r.WithContext(ctx), nil, new(recorder), &settings{})
	notify := w.CloseNotify()
	if w.CloseNotify() != notify {
		t.Error("another channel")
	}
	gone()
	if !<-notify {
		t.Error("false")
	}
	w.end(nil)
	defer func() {
		if recover() == nil {
			t.Error("no panic when the handler has returned")
		}
	}()
	w.CloseNotify()
}

func TestFlushIsToldOnce(t *testing.T) {
	var wire recorder
	serveForTest(t, get11, http.HandlerFunc(func(w rw, r req) {
		say(0, strings.Repeat("x", 10_000))(w, r)
		if wire.streamed != 0 {
			t.Error("much is not a stream")
		}
		for range 3 {
			w.(http.Flusher).Flush()
		}
	}), &wire, io.Discard)
	if wire.streamed != 1 {
		t.Errorf("told %d times", wire.streamed)
	}
}
