package web_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/worker/web"
)

// phase is one in which a client may go.
type phase struct {
	name    string
	request string
	answer  string // what the client reads of it before it goes
	handler func(w http.ResponseWriter, r *http.Request) error
	onLoop  bool   // the handler may be one of Inline
	unheard string // of which stories the handler never hears: those whose names have this
}

// A client goes, in order or by a reset, in the middle of each phase of a request: a handler
// that waits for it is told, others are served, and nothing is left, no goroutine (TestMain
// looks for those), no connection, no file.
func TestClientsThatGoInEachPhase(t *testing.T) {
	large := sparse(t, 64<<20)
	const post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n"
	get := "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	phases := []phase{
		{name: "before a request", unheard: "before", onLoop: true},
		{name: "within a head", request: get[:20], unheard: "within", onLoop: true},
		{name: "within a body", request: post + "\r\n01234", handler: readAll, onLoop: true, unheard: "inline/reset"},
		{name: "within a chunk", request: "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01", handler: readAll},
		{name: "before a body that it was told to send", request: post + "Expect: 100-continue\r\n\r\n", answer: "HTTP/1.1 100 Continue\r\n\r\n", handler: readAll},
		{name: "while the handler waits", request: get, handler: waitForEnd},
		{name: "while an answer streams", request: get, answer: "HTTP/1.1 200 OK", handler: stream},
		{name: "while a file is sent", request: get, answer: "HTTP/1.1 200 OK", handler: sendFile(large)},
		{name: "while a file is sent by the loop", request: get, answer: "HTTP/1.1 200 OK", handler: sendFileOnLoop(large), onLoop: true},
		{name: "when it is hijacked", request: "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: y\r\n\r\nhello", answer: "hello", handler: echoHijacked},
	}
	for _, p := range phases {
		for _, way := range ways {
			if way.opts != nil && !p.onLoop {
				continue
			}
			for name, goes := range map[string]func(c *net.TCPConn) error{
				"reset": func(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) },
				"close": func(c *net.TCPConn) error { return c.Close() },
			} {
				t.Run(p.name+"/"+way.name+"/"+name, func(t *testing.T) { p.test(t, way.opts, goes) })
			}
		}
	}
}

func (p *phase) test(t *testing.T, opts []web.Option, goes func(c *net.TCPConn) error) {
	leaktest.Descriptors(t)
	told := make(chan error, 1)
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/other" {
			say(w, r)
			return
		}
		told <- p.handler(w, r)
	}), opts...)
	c := connect(t, addr)
	c.send(p.request)
	begin := make([]byte, len(p.answer))
	if _, err := io.ReadFull(c.in, begin); err != nil || string(begin) != p.answer {
		t.Fatalf("%q, %v; want %q", begin, err, p.answer)
	}
	other := connect(t, addr)
	other.send("GET /other HTTP/1.1\r\nHost: x\r\n\r\n")
	other.expect("GET /other ")
	if err := goes(c.Conn.(*net.TCPConn)); err != nil {
		t.Fatal(err)
	}
	if p.unheard == "" || !strings.Contains(t.Name(), p.unheard) {
		select {
		case err := <-told:
			if err == nil {
				t.Error("the handler is not told that the client is gone")
			}
		case <-time.After(patience):
			t.Error("the handler waits for ever")
		}
	}
	other.send("GET /other HTTP/1.1\r\nHost: x\r\n\r\n")
	other.expect("GET /other ")
	if len(told) > 0 {
		t.Errorf("its handler was called, and ended with %v", <-told)
	}
}

// errUntold: a handler of Inline has nobody to wait for.
var errUntold = errors.New("on the loop")

func readAll(_ http.ResponseWriter, r *http.Request) error {
	_, err := io.ReadAll(r.Body)
	return err
}

func waitForEnd(_ http.ResponseWriter, r *http.Request) error {
	select {
	case <-r.Context().Done():
		return context.Cause(r.Context())
	case <-time.After(patience):
		return nil
	}
}

func stream(w http.ResponseWriter, r *http.Request) error {
	for {
		if _, err := w.Write(make([]byte, 1<<10)); err != nil {
			return err
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return err
		}
	}
}

func echoHijacked(w http.ResponseWriter, _ *http.Request) error {
	conn, both, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil // which is wrong
	}
	defer conn.Close()
	hello := make([]byte, 5)
	if _, err = io.ReadFull(both, hello); err != nil {
		return nil // likewise
	}
	if _, err = conn.Write(hello); err == nil {
		_, err = both.ReadByte()
	}
	return err
}

// sparse returns an open file of a size, without anything in it.
func sparse(t *testing.T, size int64) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // nothing is written to it
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return f
}

func sendFile(f *os.File) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Length", "1000000000000")
		for {
			if _, err := io.Copy(w, io.NewSectionReader(f, 0, 64<<20)); err != nil {
				return err
			}
		}
	}
}

// sendFileOnLoop leaves most of the file to the loop.
func sendFileOnLoop(f *os.File) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Length", "67108864")
		_, err := io.Copy(w, io.NewSectionReader(f, 0, 64<<20))
		return errors.Join(err, errUntold)
	}
}
