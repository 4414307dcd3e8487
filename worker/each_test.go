package worker_test

import (
	"testing"

	"github.com/usher-go/usher/worker"
)

// A chat: what one says goes to all, and some leave while it is said.
func TestEach(t *testing.T) {
	var all int
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
		c.Each(func(other *worker.Conn) {
			all++
			for range 3 {
				if _, err := other.Write(in); err != nil {
					t.Error(err)
				}
			}
			switch other.ID() {
			case 3:
				if err := other.Close(); err != nil {
					t.Error(err)
				}
			case 4:
				if err := other.Abort(); err != nil {
					t.Error(err)
				}
			}
		})
		return len(in), nil
	})
	s := newRig(t, h)
	clients := make([]*client, 6)
	for i := range clients {
		clients[i] = s.connect()
	}
	s.until(func() bool { return s.entry.Received.Load() == 6 })
	clients[0].send("hi!")
	for i, c := range clients {
		switch i + 1 {
		case 4:
			c.expectReset()
		case 3:
			c.expect("hi!hi!hi!")
			c.expectEnd()
			check(t, c.Close())
		default:
			c.expect("hi!hi!hi!")
		}
	}
	h.expectClose(t, worker.ErrAborted)
	h.expectClose(t, nil)
	clients[5].send("4")
	clients[0].expect("444")
	check(t, clients[0].Close())
	h.expectClose(t, nil)
	if all != 6+4 {
		t.Errorf("%d visited, want 10", all)
	}
}

// Writing to the others in turn keeps the order of each.
func TestAlternatingWrites(t *testing.T) {
	var first *worker.Conn
	s := newRig(t, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		if first == nil {
			first = c
			return c.Write(in)
		}
		for i := range 100 {
			if _, err := c.Write([]byte{byte(i)}); err != nil {
				return 0, err
			}
			if _, err := first.Write([]byte{byte(i)}); err != nil {
				return 0, err
			}
		}
		return len(in), nil
	}))
	a, b := s.connect(), s.connect()
	a.send("a")
	a.expect("a")
	b.send("b")
	var want []byte
	for i := range 100 {
		want = append(want, byte(i))
	}
	a.expect(string(want))
	b.expect(string(want))
}
