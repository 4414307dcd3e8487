package worker_test

import (
	"errors"
	"testing"

	"github.com/usher-go/usher/worker"
)

// A client that reads all it is sent does not lose its connection to the bound of
// output, because what the callback has written is not sent yet.
func TestWritesOfOneCallbackAreNotBuffered(t *testing.T) {
	const piece, bound = 15 << 10, 32 << 10
	for name, write := range map[string]func(c *worker.Conn, b []byte) (int, error){
		"Write":  func(c *worker.Conn, b []byte) (int, error) { return c.Write(b) },
		"Writev": func(c *worker.Conn, b []byte) (int, error) { return c.Writev(b[:1], b[1:]) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newRig(t, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
				for range 5 {
					if n, err := write(c, hoard(piece)); n != piece || err != nil {
						t.Errorf("%d, %v; want all of it", n, err)
						return 0, err
					}
				}
				return len(in), nil
			}), worker.WithMaxOutput(bound))
			c := s.connect()
			c.send("go")
			for range 5 {
				c.expect(string(hoard(piece)))
			}
			check(t, c.Close())
		})
	}
}

// A client that does not read is held to the bound all the same.
func TestWritesOfOneCallbackAreBounded(t *testing.T) {
	const piece, bound = 15 << 10, 32 << 10
	taken := make(chan int, 1)
	s := newRig(t, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		n := 0
		for {
			if _, err := c.Write(make([]byte, piece)); errors.Is(err, worker.ErrFull) {
				break
			} else if err != nil {
				return 0, err
			}
			if n++; c.Buffered() > bound {
				t.Errorf("%d bytes buffered", c.Buffered())
			}
		}
		taken <- n
		return len(in), nil
	}), worker.WithMaxOutput(bound))
	c := s.connectNarrow()
	c.send("go")
	if n := await(t, taken); n < 3 {
		t.Errorf("%d pieces of %d bytes", n, piece)
	}
	c.reset()
}
