package main

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// SIGTERM: nobody new is let in, and whoever is there may finish.
func TestStopFinishes(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "2")
	c := dial(t, s.address)
	c.ask(t, "hello")
	if err := c.send("half a "); err != nil {
		t.Fatal(err)
	}
	s.signal(unix.SIGTERM)
	refused(t, s.address)
	if err := c.send("line\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.answer("half a line"); err != nil {
		t.Error(err)
	}
	c.ask(t, "more")
	c.leave(t)
	s.ends(0)
}

// A client that does not leave is sent away when the time is over, in order:
// it reads an end of file and no reset.
func TestStopDeadline(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "2", "--drain-timeout", "300ms")
	c := dial(t, s.address)
	c.ask(t, "hello")
	s.signal(unix.SIGTERM)
	if err := c.atEnd(); err != nil {
		t.Error(err)
	}
	_ = c.conn.Close() // it has ended
	s.ends(0)
}

// Ctrl-C: the first waits and says so, the second does not.
func TestInterruptTwice(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "2")
	c := dial(t, s.address)
	c.ask(t, "hello")
	s.signal(unix.SIGINT)
	s.log.await(t, 1, "waiting for 1 connections; interrupt again to quit")
	refused(t, s.address)
	c.ask(t, "still here")
	s.signal(unix.SIGINT)
	s.ends(0)
	_ = c.conn.Close() // how it ended is not promised
}

// Ctrl-C when nobody is there ends it at once.
func TestInterruptAtRest(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "2")
	s.signal(unix.SIGINT)
	s.ends(0)
	if said := s.log.with("interrupt again"); len(said) > 0 {
		t.Errorf("%q, but there is nothing to wait for", said)
	}
}

func TestQuit(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "2")
	c := dial(t, s.address)
	c.ask(t, "hello")
	s.signal(unix.SIGQUIT)
	s.ends(0)
	if n, err := c.conn.Read(make([]byte, 1)); n > 0 || os.IsTimeout(err) {
		t.Errorf("read %d bytes, %v; want an end or a reset", n, err)
	}
}

// A graceful stop is cut short by a quick one.
func TestTermThenQuit(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "1")
	c := dial(t, s.address)
	c.ask(t, "hello")
	s.signal(unix.SIGTERM)
	refused(t, s.address)
	c.ask(t, "still here")
	s.signal(unix.SIGQUIT)
	s.ends(0)
}

// The pid file is there as long as the master is; one that is left over is replaced.
func TestPIDFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "usher.pid")
	if err := os.WriteFile(path, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--workers", "1", "--pid-file", path)
	content, err := os.ReadFile(path)
	if want := strconv.Itoa(s.pid) + "\n"; string(content) != want || err != nil {
		t.Errorf("pid file %q, %v; want %q", content, err, want)
	}
	s.stop()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the pid file is left: %v", err)
	}
}
