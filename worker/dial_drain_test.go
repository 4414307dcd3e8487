package worker_test

import (
	"io"
	"net"
	"testing"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
)

// The last client of a draining proxy has gone, its backend is being hung up, and
// one more client comes that the master had on its way: it is served like any
// other, and then the worker ends.
func TestClientTakenInWhileDialledAreHungUp(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	hungUp, release := make(chan struct{}), make(chan struct{})
	served := make(chan struct{})
	go func() {
		defer close(served)
		defer server.Close()
		first, err := server.Accept()
		if err != nil {
			return
		}
		defer first.Close()
		_, _ = io.Copy(io.Discard, first) // until the worker has hung up
		close(hungUp)
		second, err := server.Accept()
		if err == nil {
			_, _ = io.Copy(struct{ io.Writer }{second}, struct{ io.Reader }{second}) // the client sees what it lacks
			_ = second.Close()                                                       // likewise
		}
		<-release // the first does not answer before
	}()
	// The first client's backend is a pooled one, so its end is not the client's.
	p := &pool{to: destination(server), opened: make(chan struct{}), closed: make(chan error, 1)}
	relay := relayTo(destination(server))
	s := newRig(t, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		if c.ID() == 1 {
			return p.Open(c)
		}
		return relay.Open(c)
	}))
	c := s.connect()
	await(t, p.opened)
	s.tell(ipc.Drain{Mode: ipc.DrainFinish})
	check(t, c.Close())
	await(t, hungUp)

	late := s.connect()
	late.send("through the proxy")
	late.expect("through the proxy")
	check(t, late.Close())
	close(release)
	expectClose(t, p.closed, worker.ErrDrained)
	s.expectDrained()
	await(t, served)
}
