package worker_test

import (
	"testing"

	"github.com/usher-go/usher/worker"
)

// collector keeps all input until the peer has finished, then answers with it.
type collector struct {
	closed chan error
	after  func(c *worker.Conn) error // called in EOF
}

func (s *collector) Open(*worker.Conn) (worker.Session, error) { return s, nil }
func (s *collector) Data(*worker.Conn, []byte) (int, error)    { return 0, nil }
func (s *collector) Close(c *worker.Conn, err error)           { s.closed <- err }
func (s *collector) EOF(c *worker.Conn, rest []byte) (err error) {
	if _, err := c.Writev([]byte("got "), rest); err != nil {
		return err
	}
	return s.after(c)
}

func TestDataBeforeEndOfFileIsDelivered(t *testing.T) {
	h := &collector{closed: make(chan error, 1), after: (*worker.Conn).Close}
	s := newRig(t, h)
	c := s.connect()
	c.send("all of ")
	c.send("this")
	c.closeWrite()
	c.expect("got all of this")
	c.expectEnd()
	expectClose(t, h.closed, nil)
}

func TestDataSentBeforeTheWorkerHasTheConnection(t *testing.T) {
	h := &collector{closed: make(chan error, 1), after: (*worker.Conn).Close}
	s := newRig(t, h)
	c, fd := s.accept()
	c.send("early")
	c.closeWrite()
	s.hand(fd)
	c.expect("got early")
	c.expectEnd()
}

func TestEndOfFileWithoutEOFFlushesAndCloses(t *testing.T) {
	s := newRig(t, worker.DataFunc(echo))
	c := s.connect()
	c.send("last words")
	c.closeWrite()
	c.expect("last words")
	c.expectEnd()
}

// After EOF has returned nil the connection is open for writing.
func TestWriteAfterEndOfFile(t *testing.T) {
	var half *worker.Conn
	h := &collector{closed: make(chan error, 2), after: func(c *worker.Conn) error {
		half = c
		return nil
	}}
	ticks := worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		if half == nil {
			return h, nil
		}
		return worker.DataFunc(func(_ *worker.Conn, in []byte) (int, error) {
			if string(in) == "end" {
				return len(in), half.Close()
			}
			return half.Write(in)
		}), nil
	})
	s := newRig(t, ticks)
	c := s.connect()
	c.send("x")
	c.closeWrite()
	c.expect("got x")
	other := s.connect()
	for range 3 {
		other.send("tick")
		c.expect("tick")
	}
	s.expectRest()
	other.send("end")
	c.expectEnd()
	expectClose(t, h.closed, nil)
}

func TestErrorFromEOFClosesAfterFlushing(t *testing.T) {
	h := &collector{closed: make(chan error, 1), after: func(*worker.Conn) error { return errTest }}
	s := newRig(t, h)
	c := s.connect()
	c.send("x")
	c.closeWrite()
	c.expect("got x")
	c.expectEnd()
	expectClose(t, h.closed, errTest)
}

// The worker finishes first, goes on reading, and ends when the client does.
func TestCloseWriteThenRead(t *testing.T) {
	got := make(chan string, 10)
	h := newRecorder(nil)
	h.data = func(c *worker.Conn, in []byte) (int, error) {
		if string(in) == "finish" {
			if _, err := c.Write([]byte("done")); err != nil {
				return 0, err
			}
			if err := c.CloseWrite(); err != nil {
				return 0, err
			}
			if _, err := c.Write(in); err != worker.ErrClosed {
				t.Errorf("Write after CloseWrite: %v", err)
			}
			if err := c.CloseWrite(); err != worker.ErrClosed {
				t.Errorf("second CloseWrite: %v", err)
			}
			return len(in), nil
		}
		got <- string(in)
		return len(in), nil
	}
	s := newRig(t, h)
	c := s.connect()
	c.send("finish")
	c.expect("done")
	c.expectEnd()
	c.send("still heard")
	if text := await(t, got); text != "still heard" {
		t.Errorf("got %q", text)
	}
	c.closeWrite()
	h.expectClose(t, nil)
}

// Both have finished, in either order: the connection ends by itself, though
// EOF has returned nil.
func TestBothFinish(t *testing.T) {
	h := &collector{closed: make(chan error, 1), after: (*worker.Conn).CloseWrite}
	s := newRig(t, h)
	c := s.connect()
	c.send("x")
	c.closeWrite()
	c.expect("got x")
	c.expectEnd()
	expectClose(t, h.closed, nil)
}
