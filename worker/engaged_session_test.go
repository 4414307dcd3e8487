package worker_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/forweb"
	"github.com/usher-go/usher/worker"
)

// desk serves requests as package web does: a line is a request, and its connection is
// engaged until the test answers it. One desk is the session of all connections at rest.
type desk struct {
	requests chan *request
	events   chan string // what sessions hear beside requests
	stays    bool        // what LastCall returns
}

func newDesk() *desk {
	return &desk{requests: make(chan *request, 100), events: make(chan string, 100)}
}

func (d *desk) Open(*worker.Conn) (worker.Session, error) { return d, nil }

func (d *desk) Data(c *worker.Conn, in []byte) (int, error) {
	end := bytes.IndexByte(in, '\n')
	if end < 0 {
		return 0, nil
	}
	r := &request{desk: d, conn: c, line: string(in[:end])}
	forweb.Of(c).Become(r)
	forweb.Of(c).Engage()
	d.requests <- r
	return end + 1, nil
}

func (d *desk) EOF(_ *worker.Conn, rest []byte) error {
	d.events <- fmt.Sprintf("end at rest, %q left", rest)
	return errors.New("nothing more comes")
}
func (d *desk) Drain(*worker.Conn)                 { d.events <- "drain at rest" }
func (d *desk) Close(_ *worker.Conn, err error)    { d.events <- fmt.Sprintf("closed at rest: %v", err) }
func (d *desk) MarshalBinary() ([]byte, error)     { return nil, nil }
func (d *desk) UnmarshalBinary(state []byte) error { return nil }

// request is the session of a connection while its request is under way.
type request struct {
	desk *desk
	conn *worker.Conn
	line string
}

func (r *request) Data(*worker.Conn, []byte) (int, error) { return 0, nil }
func (r *request) EOF(_ *worker.Conn, rest []byte) error {
	r.desk.events <- fmt.Sprintf("end in %s, %q left", r.line, rest)
	return nil
}
func (r *request) DrainBegins(_ *worker.Conn, deadline time.Time) {
	r.desk.events <- fmt.Sprintf("drain in %s, known: %v", r.line, !deadline.IsZero())
}
func (r *request) LastCall(*worker.Conn) bool {
	r.desk.events <- "last call in " + r.line
	return r.desk.stays
}
func (r *request) Close(_ *worker.Conn, err error) {
	r.desk.events <- fmt.Sprintf("closed in %s: %v", r.line, err)
}

// answer ends the request, from another goroutine than the loop's. It returns what Release
// has said, or false if the connection has ended.
func (r *request) answer(then ...func(c forweb.Conn)) (leaving bool) {
	said := make(chan bool, 1)
	if !r.conn.Post(func(c *worker.Conn) {
		_, _ = c.Write([]byte(r.line + ".\n")) // a client that is gone misses nothing
		w := forweb.Of(c)
		w.Become(r.desk)
		for _, f := range then {
			f(w)
		}
		said <- w.Release()
	}) {
		return false
	}
	return <-said
}

func (d *desk) expect(t testing.TB, events ...string) {
	t.Helper()
	for _, want := range events {
		if got := await(t, d.events); got != want {
			t.Fatalf("%s; want %s", got, want)
		}
	}
}

func (d *desk) expectRequest(t testing.TB, line string) *request {
	t.Helper()
	r := await(t, d.requests)
	if r.line != line {
		t.Fatalf("request %q, want %q", r.line, line)
	}
	return r
}
