package worker_test

import (
	"strings"
	"testing"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
)

// meddlers are sessions that echo; MarshalBinary of the third one writes to the second.
type meddlers struct {
	conns []*worker.Conn
	bytes int
}

type meddler struct {
	*meddlers
	c *worker.Conn
}

func (m *meddlers) Open(c *worker.Conn) (worker.Session, error) {
	m.conns = append(m.conns, c)
	return &meddler{m, c}, nil
}

func (m *meddler) Data(c *worker.Conn, in []byte) (int, error) { return c.Write(in) }

func (m *meddler) MarshalBinary() ([]byte, error) {
	if len(m.conns) == 3 && m.c == m.conns[2] {
		_, err := m.conns[1].Write(make([]byte, m.bytes))
		return nil, err
	}
	return nil, nil
}

func (m *meddler) UnmarshalBinary([]byte) error { return nil }

// A connection that is packed already when another's MarshalBinary writes to it does not
// leave as it was before that: with TLS, two workers would seal with the same numbers. The
// mover packs one connection, and then two.
func TestMarshalWritesToWhatIsPacked(t *testing.T) {
	for _, size := range []int{1, 16 << 10, 100 << 10} {
		old, config := newPassing(t, ipc.Hello{}, withTLS, &meddlers{bytes: size})
		next, _ := newPassing(t, ipc.Hello{}, withTLS, &meddlers{})
		var clients []*client
		for range 3 {
			c := old.connect().secure(config)
			c.send("x")
			c.expect("x")
			clients = append(clients, c)
		}
		old.tell(ipc.Drain{Mode: ipc.DrainMove})
		old.route(next, 2) // the third stays: it must not write there
		clients[1].expect(strings.Repeat("\x00", size))
		for _, c := range clients {
			c.send("y")
			c.expect("y")
		}
	}
}
