package master

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// pipeListener accepts the ends of pipes that a test puts in.
type pipeListener struct {
	arrivals chan net.Conn
	over     chan struct{}
	once     sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.arrivals:
		return conn, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error { l.once.Do(func() { close(l.over) }); return nil }

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (l *pipeListener) SetDeadline(time.Time) error { return l.Close() }

// Where all places are taken, a client that has only just come is given time to say what it
// wants; one that goes on saying nothing makes room for the next.
func TestNewcomerIsHeard(t *testing.T) {
	for _, test := range []struct {
		name     string
		later    time.Duration // how long after it has connected the client asks
		answered bool
	}{
		{"at once", 0, true},
		{"soon", askingGrace / 2, true},
		{"after too long", 2 * askingGrace, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := &pipeListener{arrivals: make(chan net.Conn), over: make(chan struct{})}
				held := make(chan struct{})
				s := newSession(listener, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/hold" {
						<-held
					}
				}), hclog.NewNullLogger())
				go func() {
					_ = s.server.Serve(s) // it ends with the session
					close(s.over)
				}()
				connect := func() net.Conn {
					near, far := net.Pipe()
					t.Cleanup(func() { _ = near.Close() }) // it has its answer, or none comes
					listener.arrivals <- far
					return near
				}
				ask := func(conn net.Conn, path string) {
					_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: usher\r\n\r\n") // it may be hung up on
				}
				for range maxControlClients - 1 {
					ask(connect(), "/hold")
				}
				newcomer := connect()
				time.Sleep(test.later)
				ask(newcomer, "/")
				answer, err := http.ReadResponse(bufio.NewReader(newcomer), nil)
				if answered := err == nil && answer.StatusCode == http.StatusOK; answered != test.answered {
					t.Errorf("answered: %t, %v; want %t", answered, err, test.answered)
				}
				next := connect() // who comes then has the place
				ask(next, "/")
				if _, err := http.ReadResponse(bufio.NewReader(next), nil); err != nil {
					t.Errorf("the next one: %v", err)
				}
				close(held)
				s.end()
			})
		})
	}
}
