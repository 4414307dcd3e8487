package worker_test

import (
	"net/netip"
	"time"

	"github.com/usher-go/usher/worker"
)

// relay is one side of a proxied connection: what comes here goes to the other.
type relay struct{ other *worker.Conn }

func (r *relay) Data(c *worker.Conn, in []byte) (int, error) {
	n, err := r.other.Write(in)
	if r.other.Buffered() > 256<<10 { // the high-water mark: its Low will follow
		c.Pause()
	}
	return n, err
}

func (r *relay) Low(*worker.Conn) { r.other.Resume() }

func (r *relay) Close(*worker.Conn, error) { _ = r.other.Close() } // it may be closing too

// relayTo returns a handler that gives each client a connection to a server.
func relayTo(server worker.Destination) worker.Handler {
	return worker.OpenFunc(func(client *worker.Conn) (worker.Session, error) {
		client.Pause() // until there is somebody to talk to
		session := &relay{}
		session.other = client.Dialer().Dial(server, worker.OpenFunc(func(*worker.Conn) (worker.Session, error) {
			client.Resume()
			return &relay{client}, nil
		}), func(error) { _ = client.Close() }) // it may be closing already
		return session, nil
	})
}

// A TCP proxy: neither side outruns the other, and the end of one is the end of
// both.
func ExampleDialer() {
	if worker.IsWorker() {
		server := netip.MustParseAddrPort("127.0.0.1:5432")
		worker.Main(relayTo(worker.Destination{Remote: server, Timeout: 5 * time.Second}))
	}
}
