package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
)

// A client that reads a long answer slowly, and one that sends a long request, cost their
// worker no more memory than what waits between client and handler: it does not grow with
// their length. All bytes come.
func TestWebLongBodies(t *testing.T) {
	size := int64(sized(1<<30/10, 1<<30))
	// What the kernel and the worker hold of a body, and the collector's room to double.
	const bound = 48 << 20
	tests := []struct {
		name string
		talk func(c *client) error
	}{
		{"reads slowly", func(c *client) error { return webReadSlowly(c, size) }},
		{"sends", func(c *client) error { return webSend(c, size) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, "--workers", "1", "--", self(), "worker-web-handler")
			pid := s.until("the worker is ready", ready(1)).Workers[0].PID
			if got := webAnswer(t, http.DefaultClient, "GET", "http://"+s.address+"/", nil); got != "hello, world\n" {
				t.Fatalf("it says %q", got)
			}
			http.DefaultClient.CloseIdleConnections()
			before := memory(t, pid, "VmRSS:")
			c := dial(t, s.address)
			if err := c.conn.SetReadBuffer(64 << 10); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if err := test.talk(c); err != nil {
				t.Fatal(err)
			}
			took := time.Since(start)
			peak := memory(t, pid, "VmHWM:")
			t.Logf("%.0f MB in %v: the worker's memory (RSS) grew by at most %.1f MB (%.1f to %.1f MB)",
				mega(int(size)), took.Round(time.Millisecond), mega(peak-before), mega(before), mega(peak))
			if peak-before > bound {
				t.Errorf("memory grew by %d bytes, want at most %d", peak-before, bound)
			}
			c.leave(t)
			s.until("it has left", func(status master.Status) bool { return status.Connections.Active == 0 })
			s.stop()
		})
	}
}

// webReadSlowly reads a sixteenth of an answer at a pace at which all that is between here
// and the handler is full, and then the rest.
func webReadSlowly(c *client, size int64) error {
	if err := c.send(fmt.Sprintf("GET /bytes?n=%d HTTP/1.1\r\nHost: x\r\n\r\n", size)); err != nil {
		return err
	}
	if err := c.conn.SetDeadline(time.Now().Add(10 * patience)); err != nil {
		return err
	}
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	sum, n := sha256.New(), int64(0)
	pace := time.NewTicker(2 * time.Millisecond)
	defer pace.Stop()
	for n < size/16 && err == nil {
		var more int64
		more, err = io.CopyN(sum, response.Body, 32<<10)
		n += more
		<-pace.C
	}
	rest, restErr := io.Copy(sum, response.Body)
	n, err = n+rest, errors.Join(err, restErr)
	if got, want := fmt.Sprintf("%x", sum.Sum(nil)), webBytesSum(size); got != want {
		err = errors.Join(err, fmt.Errorf("%d bytes of %s, want %d of %s", n, got, size, want))
	}
	return err
}

// webSend sends a request of so many bytes, as fast as they are taken.
func webSend(c *client, size int64) error {
	if err := c.send(fmt.Sprintf("POST /sum HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)); err != nil {
		return err
	}
	if err := c.conn.SetDeadline(time.Now().Add(10 * patience)); err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(c.conn, sum), rand.NewChaCha8([32]byte{3}), size); err != nil {
		return err
	}
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(response.Body)
	if want := fmt.Sprintf("%d %x <nil>", size, sum.Sum(nil)); string(got) != want {
		err = errors.Join(err, fmt.Errorf("it says %q, want %q", got, want))
	}
	return err
}

// What an idle keep-alive connection costs its worker in memory, after a request. The
// figure is for reading: only one far beyond any reason fails.
func TestWebIdleMemory(t *testing.T) {
	const absurd = 4096 // bytes: a goroutine and two buffers would be more
	clients := sized(1000, 10_000)
	s := serve(t, "--workers", "1", "--idle-timeout", "1h", "--", self(), "worker-web-handler")
	pid := s.until("the worker is ready", ready(1)).Workers[0].PID
	hold := func(n int) (held []*client) {
		for range n {
			c := dial(t, s.address)
			if err := webHello(c); err != nil {
				t.Fatal(err)
			}
			c.in = nil // thousands of them
			held = append(held, c)
		}
		return held
	}
	leave := func(held []*client) {
		for _, c := range held {
			c.in = nil
			_ = c.conn.Close() // nothing is owed
		}
	}
	leave(hold(500)) // what is allocated once
	s.until("they have left", func(status master.Status) bool { return status.Connections.Active == 0 })
	before := proportionalBytes(t, pid)
	held := hold(clients)
	s.until("all are there", func(status master.Status) bool { return status.Workers[0].Connections == clients })
	each := (proportionalBytes(t, pid) - before) / clients
	t.Logf("%d idle keep-alive connections, each after a request: %d bytes of memory (PSS) each in the worker", clients, each)
	if each > absurd {
		t.Errorf("more than %d bytes each", absurd)
	}
	leave(held)
	s.stop()
}

// webHello asks for a short answer.
func webHello(c *client) error {
	if err := c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return err
	}
	const end = "\r\n\r\nhello, world\n"
	var got []byte
	for !bytes.HasSuffix(got, []byte(end)) {
		b, err := c.in.ReadByte()
		if err != nil {
			return err
		}
		got = append(got, b)
	}
	if !strings.HasPrefix(string(got), "HTTP/1.1 200 ") {
		return fmt.Errorf("got %q", got)
	}
	return nil
}
