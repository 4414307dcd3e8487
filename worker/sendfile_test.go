package worker_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/usher-go/usher/worker"
)

// randomFile returns an open file of that size, and what is in it.
func randomFile(t testing.TB, size int) (*os.File, []byte) {
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(content) // it never fails
	path := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(path, content, 0o644))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	t.Cleanup(func() { _ = f.Close() }) // a second time, in some tests
	return f, content
}

// Files and writes arrive in order, however slowly the peer reads, and the
// caller may close its file at once.
func TestSendFile(t *testing.T) {
	for _, size := range []int{1, 1000, 3 << 20} {
		f, content := randomFile(t, size)
		h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
			_, err := c.Write([]byte("head"))
			for range 3 {
				err = errors.Join(err, c.SendFile(f, 0, int64(size)), c.SendFile(f, int64(size), 0))
				_, writeErr := c.Write([]byte("between"))
				err = errors.Join(err, writeErr, c.SendFile(f, int64(size-1), 1))
			}
			return len(in), errors.Join(err, f.Close(), c.Close())
		})
		s := newRig(t, h)
		c := s.connectNarrow()
		c.send("x")
		want := []byte("head")
		for range 3 {
			want = append(append(append(want, content...), "between"...), content[size-1])
		}
		got := make([]byte, len(want)) // without the end: the worker waits for the client's
		_, err := io.ReadFull(c, got)
		check(t, err)
		if !bytes.Equal(got, want) {
			t.Errorf("size %d: not what was sent", size)
		}
		c.expectEnd()
		check(t, c.Close())
		h.expectClose(t, nil)
	}
}

// Input waits for a file as for other output, and goes on after it.
func TestSendFileHoldsInput(t *testing.T) {
	const size = 2 << 20
	f, content := randomFile(t, size)
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) { return 1, c.SendFile(f, 0, size) })
	s := newRig(t, h)
	c := s.connectNarrow()
	const requests = 50 // more than files may wait
	c.send(string(make([]byte, requests)))
	got := make([]byte, size)
	for range requests / 10 {
		_, err := io.ReadFull(c, got)
		check(t, err)
		if !bytes.Equal(got, content) {
			t.Fatal("not what was sent")
		}
	}
	c.reset()
	if err := await(t, h.closed); err == nil {
		t.Error("closed in order, with output left")
	}
}

func TestSendFileErrors(t *testing.T) {
	f, _ := randomFile(t, 10)
	r, w, err := os.Pipe()
	check(t, err)
	defer r.Close()
	defer w.Close()
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
		for _, part := range [][2]int64{{0, 11}, {10, 1}, {11, 0}, {1 << 62, 1 << 62}} {
			if err := c.SendFile(f, part[0], part[1]); !errors.Is(err, worker.ErrShortFile) {
				t.Errorf("%d bytes at %d of 10: %v", part[1], part[0], err)
			}
		}
		if c.SendFile(f, -1, 1) == nil || c.SendFile(f, 1, -1) == nil || c.SendFile(r, 0, 1) == nil {
			t.Error("accepted what is no part of a file")
		}
		_, err := c.Write([]byte("fine"))
		check(t, errors.Join(err, c.Close()))
		if err := c.SendFile(f, 0, 1); !errors.Is(err, worker.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		return len(in), nil
	})
	s := newRig(t, h)
	c := s.connect()
	c.send("x")
	c.expect("fine")
	c.expectEnd()
	check(t, c.Close())
	h.expectClose(t, nil)
}

// At most so many wait; the connection goes on.
func TestSendFileIsBounded(t *testing.T) {
	const size = 16 << 20
	f, _ := randomFile(t, size)
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
		n := 0
		for c.SendFile(f, 0, size) == nil {
			n++
		}
		if n != 16 {
			t.Errorf("%d files wait, want 16", n)
		}
		return len(in), c.Abort()
	})
	s := newRig(t, h)
	c := s.connectNarrow()
	c.send("x")
	h.expectClose(t, worker.ErrAborted)
}

// A file that is cut while it is sent ends the connection, and says why.
func TestSendFileIsCut(t *testing.T) {
	const size = 16 << 20
	f, _ := randomFile(t, size)
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
		return len(in), errors.Join(c.SendFile(f, 0, size), f.Truncate(size/2))
	})
	s := newRig(t, h)
	c := s.connectNarrow()
	c.send("x")
	got, err := io.ReadAll(c)
	if len(got) >= size {
		t.Errorf("%d bytes came, %v", len(got), err)
	}
	h.expectClose(t, worker.ErrShortFile)
}
