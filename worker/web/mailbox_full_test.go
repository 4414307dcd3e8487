package web_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/web"
	"github.com/usher-go/usher/worker/workertest"
)

// opened is a handler that tells of the connections it opens.
type opened struct {
	worker.Handler
	conns chan *worker.Conn
}

func (o opened) Open(c *worker.Conn) (worker.Session, error) {
	o.conns <- c
	return o.Handler.Open(c)
}

// While the loop stands still and takes no more functions of anybody, a handler writes, and
// reads what makes room for more: neither waits for the loop, and nothing of it is lost.
func TestFullMailbox(t *testing.T) {
	const size = 1 << 20
	conns := make(chan *worker.Conn, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex() // it knows it
		c, goOn := <-conns, make(chan bool)
		standStill(t, c, goOn)
		first := make([]byte, 64<<10)
		_, err := io.ReadFull(r.Body, first) // all that was here: the loop is to read on
		for range 3 {
			_, _ = io.WriteString(w, "text") // the client sees whether it comes
			w.(http.Flusher).Flush()
		}
		close(goOn)
		rest, restErr := io.ReadAll(r.Body)
		if err != nil || restErr != nil || len(first)+len(rest) != size {
			t.Errorf("%v, then %d bytes, %v", err, len(rest), restErr)
		}
	})
	l := listen(t)
	addr := l.Addr().String()
	workertest.Serve(t, l, opened{web.Handler(handler), conns})
	c := connect(t, addr)
	go func() {
		_, _ = io.WriteString(c.Conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n"+strings.Repeat("x", size)) // the handler counts them
	}()
	if _, body := c.answer("POST"); body != "texttexttext" {
		t.Errorf("%q", body)
	}
}

// standStill has the loop of c stand, once input of c is paused, until goOn is closed, and
// the functions that may wait for c wait.
func standStill(t *testing.T, c *worker.Conn, goOn <-chan bool) {
	t.Helper()
	stands := make(chan bool)
	var stand func(c *worker.Conn)
	stand = func(c *worker.Conn) {
		if c.Flowing() {
			c.Post(stand)
			return
		}
		close(stands)
		select {
		case <-goOn:
		case <-time.After(patience):
			t.Error("the handler waits for the loop")
		}
	}
	c.Post(stand)
	select {
	case <-stands:
	case <-time.After(patience):
		t.Error("input is not paused")
	}
	for c.Post(func(*worker.Conn) {}) {
	}
}
