package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The app echo, through master and worker: what came before the client's
// half-close comes back, and then the end.
func TestEcho(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "1")
	tests := []struct{ name, text string }{
		{"nothing", ""},
		{"one byte", "x"},
		{"NUL and line ends", "\x00\r\n\n\r\xff\x00"},
		{"quit is no command", "quit\nstill here\n"},
		{"as much as the sockets hold", strings.Repeat("0123456789abcdef", 8<<10)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { checkEcho(t, dial(t, s.address).conn, test.text) })
	}
	t.Run("before the half-close", func(t *testing.T) {
		c := dial(t, s.address)
		for n := range 100 {
			text := fmt.Sprintf("%d", n)
			if err := c.send(text); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(text))
			if _, err := io.ReadFull(c.in, got); string(got) != text || err != nil {
				t.Fatalf("got %q, %v; want %q", got, err, text)
			}
		}
		c.leave(t)
	})
	s.stop()
}

// A client that sends and does not read stops being read from, and gets every
// byte once it reads.
func TestEchoSlowReader(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "1")
	c := dial(t, s.address)
	piece := bytes.Repeat([]byte("0123456789abcdef"), 4<<10)
	sent := 0
	// Until nothing is taken any more: the bound is the kernel's buffers at
	// both ends, and the worker's of 16 MiB.
	const most = 64 << 20
	for sent < most {
		if err := c.conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := c.conn.Write(piece)
		sent += n
		if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
			t.Fatalf("cut after %d bytes: %v", sent, err)
		}
		if err != nil {
			break
		}
	}
	if sent >= most {
		t.Errorf("the server took %d bytes and more from a client that does not read", sent)
	}
	t.Logf("%d bytes taken before any was read", sent)
	if err := c.conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.Copy(io.Discard, c.conn)
	if got != int64(sent) || err != nil {
		t.Errorf("got %d bytes back, %v; want %d", got, err, sent)
	}
	_ = c.conn.Close() // all is read
	s.stop()
}
