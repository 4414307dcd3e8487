package web

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder is a wire that keeps what it is given.
type recorder struct {
	mu       sync.Mutex
	sent     bytes.Buffer
	pieces   []string // the sizes of what was sent: "b" or "f" each
	ending   ending
	finished int
	streamed int
	closes   bool  // last
	fails    error // of send
	unfit    bool  // files are not sendable
	server   net.Conn
	deadline time.Time
}

func (w *recorder) send(b []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.finished > 0 {
		panic("a wire is used behind its end")
	}
	w.sent.Write(b)
	w.pieces = append(w.pieces, "b")
	putBuffer(b)
	return w.fails
}

func (w *recorder) sendFile(f *os.File, off, n int64) error {
	if w.unfit {
		return errNotSendable
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := io.Copy(&w.sent, io.NewSectionReader(f, off, n))
	w.pieces = append(w.pieces, "f")
	return err
}

func (w *recorder) finish(b []byte, end ending) error {
	err := w.fails
	if len(b) > 0 {
		err = w.send(b)
	}
	w.ending = end
	w.finished++
	return err
}

func (w *recorder) setWriteDeadline(t time.Time) error { w.deadline = t; return nil }
func (w *recorder) last() bool                         { return w.closes }
func (w *recorder) streams()                           { w.streamed++ }

func (w *recorder) hijack(rest []byte) (net.Conn, *bufio.ReadWriter, error) {
	rw := bufio.NewReadWriter(bufio.NewReader(io.MultiReader(bytes.NewReader(rest), w.server)), bufio.NewWriter(w.server))
	return w.server, rw, nil
}

// readForTest makes a request of raw, a whole one, and returns with it what of raw was not
// taken for its body.
func readForTest(t testing.TB, raw string) (r *http.Request, b *body, behind string) {
	t.Helper()
	end := headEnd([]byte(raw), 0)
	if end == 0 {
		t.Fatalf("no head in %q", raw)
	}
	r, b, err := new(parser).read(context.Background(), []byte(raw[:end]))
	if err != nil {
		t.Fatalf("%q: %v", raw[:end], err)
	}
	r.RemoteAddr = "192.0.2.1:1234"
	if b == nil {
		return r, nil, raw[end:]
	}
	n := b.feed.put([]byte(raw[end:]))
	if n < len(raw[end:]) {
		return r, b, raw[end+n:]
	}
	b.feed.end(io.EOF)
	return r, b, ""
}

// serveForTest has h answer raw by a response of ours, and returns it behind its end, and
// what was left of raw.
func serveForTest(t testing.TB, raw string, h http.Handler, wire *recorder, logged io.Writer) (w *response, behind string) {
	t.Helper()
	r, b, behind := readForTest(t, raw)
	w = newResponse(r, b, wire, &settings{errorLog: log.New(logged, "", 0)})
	func() {
		defer func() { w.end(recover()) }()
		h.ServeHTTP(w, r)
	}()
	if wire.finished != 1 && w.stage == finished && wire.server == nil {
		t.Fatalf("finish was called %d times", wire.finished)
	}
	return w, string(w.rest) + behind
}

// lockedLog is a log's writer for several goroutines.
type lockedLog struct {
	mu sync.Mutex
	strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.Write(p)
}

func (l *lockedLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.String()
}

// newResponse is open of a response of its own.
func newResponse(r *http.Request, body *body, wire wire, s *settings) *response {
	w := new(response)
	w.open(r, body, wire, s)
	return w
}
