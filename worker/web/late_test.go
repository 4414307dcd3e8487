package web

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestLateCallsFail has each method called when ServeHTTP has returned.
func TestLateCallsFail(t *testing.T) {
	tests := []struct {
		name string
		call func(w http.ResponseWriter, r *http.Request) error
		want error
	}{
		{"Write", func(w rw, r req) error { _, err := w.Write([]byte("x")); return err }, ErrFinished},
		{"Write of nothing", func(w rw, r req) error { _, err := w.Write(nil); return err }, ErrFinished},
		{"WriteString", func(w rw, r req) error { _, err := io.WriteString(w, "x"); return err }, ErrFinished},
		{"WriteHeader", func(w rw, r req) error { w.WriteHeader(500); return nil }, nil},
		{"WriteHeader 103", func(w rw, r req) error { w.WriteHeader(103); return nil }, nil},
		{"Header", func(w rw, r req) error { w.Header().Set("X-A", "late"); return nil }, nil},
		{"ReadFrom", func(w rw, r req) error {
			_, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("x"))
			return err
		}, ErrFinished},
		{"Flush", func(w rw, r req) error { return http.NewResponseController(w).Flush() }, ErrFinished},
		{"Flusher", func(w rw, r req) error { w.(http.Flusher).Flush(); return nil }, nil},
		{"Hijack", func(w rw, r req) error { _, _, err := http.NewResponseController(w).Hijack(); return err }, ErrFinished},
		{"SetReadDeadline", func(w rw, r req) error { return http.NewResponseController(w).SetReadDeadline(time.Now()) }, ErrFinished},
		{"SetWriteDeadline", func(w rw, r req) error { return http.NewResponseController(w).SetWriteDeadline(time.Now()) }, ErrFinished},
		{"EnableFullDuplex", func(w rw, r req) error { return http.NewResponseController(w).EnableFullDuplex() }, ErrFinished},
		{"Body.Read", func(w rw, r req) error { _, err := r.Body.Read(make([]byte, 1)); return err }, http.ErrBodyReadAfterClose},
		{"Body.Close", func(w rw, r req) error { return r.Body.Close() }, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var wire recorder
			var logged lockedLog
			var kept *http.Request
			w, _ := serveForTest(t, post("Content-Length: 5\r\n", "hello"), http.HandlerFunc(func(w rw, r req) {
				kept = r
				say(0, "x")(w, r)
			}), &wire, &logged)
			before := wire.sent.String()
			if err := test.call(w, kept); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if after := wire.sent.String(); after != before || wire.finished != 1 || !wire.deadline.IsZero() {
				t.Errorf("the wire has got %q, and was finished %d times", after[len(before):], wire.finished)
			}
			if strings.HasPrefix(test.name, "WriteHeader") != strings.Contains(logged.text(), "superfluous response.WriteHeader call from ") {
				t.Errorf("logged %q", logged.text())
			}
		})
	}
}

// TestLateWriters has goroutines that a handler leaves behind use its ResponseWriter while
// it ends: all that they write before the end is in the response, and nothing later.
func TestLateWriters(t *testing.T) {
	for range 200 {
		var wire recorder
		var late sync.WaitGroup
		taken := make([]int, 4)
		serveForTest(t, get11, http.HandlerFunc(func(w rw, r req) {
			w.Header().Set("Content-Type", "a/b")
			w.(http.Flusher).Flush()
			for i := range taken {
				late.Go(func() {
					for {
						n, err := io.WriteString(w, "z")
						if taken[i] += n; err != nil {
							return
						}
						if err := http.NewResponseController(w).Flush(); err != nil {
							return
						}
					}
				})
			}
		}), &wire, io.Discard)
		late.Wait()
		sum := 0
		for _, n := range taken {
			sum += n
		}
		if got := strings.Count(wire.sent.String(), "z"); got != sum || wire.finished != 1 {
			t.Fatalf("%d bytes were taken, %d are in the response", sum, got)
		}
	}
}

// TestDeadlineDuringWrite sets the deadline of a write that waits for a slow peer.
func TestDeadlineDuringWrite(t *testing.T) {
	wire := &stuck{waits: make(chan struct{}), deadline: make(chan struct{})}
	r, _, _ := readForTest(t, get11)
	w := newResponse(r, nil, wire, &settings{})
	done := make(chan error)
	go func() {
		_, err := w.Write(make([]byte, 1<<20))
		done <- err
	}()
	<-wire.waits
	if err := w.SetWriteDeadline(time.Now()); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the write has ended with %v", err)
	}
	w.end(nil)
	if wire.ending != closeAfter || wire.sent.Len() > 0 {
		t.Errorf("ending %d, and %q was sent behind the error", wire.ending, wire.sent.String())
	}
}

// stuck is a wire whose peer does not read.
type stuck struct {
	recorder
	waits, deadline chan struct{}
}

func (w *stuck) send(b []byte) error {
	close(w.waits)
	<-w.deadline
	return os.ErrDeadlineExceeded
}

func (w *stuck) setWriteDeadline(time.Time) error {
	close(w.deadline)
	return nil
}
