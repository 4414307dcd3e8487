package worker_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// A hub that writes to a client whose connection was reset is told that it is gone,
// within the session's Close and ever after, and not that all is well.
func TestWriteAfterResetSaysClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(path, []byte("bytes"), 0o600))
	file, err := os.Open(path)
	check(t, err)
	defer file.Close()

	var kept *worker.Conn
	results := make(chan error, 100)
	write := func(when string) {
		n, err := kept.Write([]byte("hello"))
		if n != 0 {
			t.Errorf("%s: Write took %d bytes", when, n)
		}
		results <- err
		n, err = kept.Writev([]byte("hel"), []byte("lo"))
		if n != 0 {
			t.Errorf("%s: Writev took %d bytes", when, n)
		}
		results <- err
		results <- kept.SendFile(file, 0, 5)
		results <- kept.Close()
		results <- kept.CloseWrite()
		results <- kept.Abort()
	}
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
		if c != kept {
			write("after Close")
		}
		return c.Write(in)
	})
	s := newRig(t, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		if kept != nil {
			return h, nil
		}
		kept = c
		return closing{h, func() { write("in Close") }}, nil
	}))
	c := s.connect()
	c.send("x")
	c.expect("x")
	c.reset()
	h.expectClose(t, unix.ECONNRESET)
	other := s.connect()
	other.send("y")
	other.expect("y") // and nothing that was written to the one that is gone
	for n := range 12 {
		if err := await(t, results); !errors.Is(err, worker.ErrClosed) {
			t.Errorf("call %d: %v, want ErrClosed", n+1, err)
		}
	}
	other.closeWrite()
	if rest, err := io.ReadAll(other); len(rest) > 0 || err != nil {
		t.Errorf("the other client got %q, %v", rest, err)
	}
}

// closing is a recorder that acts in Close.
type closing struct {
	*recorder
	act func()
}

func (s closing) Close(c *worker.Conn, err error) {
	s.act()
	s.recorder.Close(c, err)
}
