package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// More is written at once than the kernel takes: the rest is not lost.
func TestPartialWriteLosesNothing(t *testing.T) {
	t.Parallel()
	t.Run("in one Write", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "--workers", "1", "--", self(), "worker-bulky")
		c := dial(t, s.address)
		if err := c.conn.SetReadBuffer(narrow); err != nil {
			t.Fatal(err)
		}
		if line := s.log.await(t, 1, "bytes are not taken yet"); strings.Contains(line, `"0 bytes`) {
			t.Fatalf("%s: this story shows nothing", line)
		}
		if err := receiveRandom(slowly{c.conn}, 1, bulkSize); err != nil {
			t.Error(err)
		}
		_ = c.conn.Close() // all is read
		s.stop()
	})
	t.Run("through echo", func(t *testing.T) {
		t.Parallel()
		const size = 16 << 20 // beyond what sockets hold (tcp_wmem in tcp(7): 4 MiB)
		s := serve(t, "--workers", "1")
		c := dial(t, s.address)
		if err := c.conn.SetReadBuffer(narrow); err != nil {
			t.Fatal(err)
		}
		sent := make(chan error, 1)
		go func() { sent <- sendRandom(c.conn, 2, size) }()
		err := receiveRandom(slowly{c.conn}, 2, size)
		if err := errors.Join(err, c.conn.Close(), <-sent); err != nil {
			t.Error(err)
		}
		s.stop()
	})
}

// narrow is a small buffer, in bytes, of a client's socket; not so small that
// what is measured is the kernel's waiting for a larger window.
const narrow = 128 << 10

// slowly is a connection that is read in small pieces.
type slowly struct{ net.Conn }

func (s slowly) Read(b []byte) (int, error) { return s.Conn.Read(b[:min(len(b), 1000)]) }

// Input is bytes: neither a NUL, nor what printf would take for a command, nor
// a line without an end is anything special.
func TestInputIsBytes(t *testing.T) {
	t.Parallel()
	inputs := []struct{ name, text string }{
		{"NUL bytes", "\x00a\x00\n\x00\n"},
		{"NUL at the end", "a\x00"},
		{"no newline", "no newline"},
		{"only a newline", "\n"},
		{"no newline after a line", "one\ntwo"},
		{"printf", "%s %n %d %% %!s(MISSING) %[1]*.[2]*[3]f\n"},
		{"printf without a newline", "%s%s%s%n%n%n%d%%"},
		{"a lone percent sign", "%"},
	}
	for _, app := range []string{"echo", "lines"} {
		t.Run(app, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "--app", app, "--workers", "1")
			for _, input := range inputs {
				t.Run(input.name, func(t *testing.T) {
					got := converse(t, s.address, input.text)
					if app == "lines" {
						got = withoutPrefixes(t, got)
					}
					if got != input.text {
						t.Errorf("got %q, want %q", got, input.text)
					}
				})
			}
			s.stop()
		})
	}
}

// withoutPrefixes takes off what the app lines puts before each line.
func withoutPrefixes(t *testing.T, answer string) string {
	t.Helper()
	var text strings.Builder
	for line := range strings.Lines(answer) {
		parts := strings.SplitN(line, " ", 4)
		if len(parts) != 4 {
			t.Fatalf("line %q of the answer, want four parts", line)
		}
		text.WriteString(parts[3])
	}
	return text.String()
}

// What a worker says on standard error is logged as it is, and nothing in it
// is taken for a command.
func TestLogLinesAreNoFormats(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "1", "--", self(), "worker-saying")
	c := dial(t, s.address)
	for _, line := range []string{"%s", "%n%n", "%d %s %v", "100 %%", "%!(NOVERB)", "%-999999999d"} {
		c.ask(t, line)
		logged := s.log.await(t, 1, "worker output", line)
		if value := strings.Trim(logged[strings.Index(logged, "line=")+len("line="):], `"`); value != line {
			t.Errorf("logged %q, want the line %q", logged, line)
		}
	}
	c.leave(t)
	s.stop()
}

// A client sends and finishes before any worker has its connection: it is
// answered as any other.
func TestDataBeforeEOFIsServed(t *testing.T) {
	t.Parallel()
	const clients = 20
	s := serve(t, "--app", "lines", "--workers", "1")
	before := s.now()
	worker := before.Workers[0].PID
	freeze(t, worker)
	var waiting []*client
	for n := range clients {
		c := dial(t, s.address)
		if err := errors.Join(c.send(fmt.Sprintf("one\ntwo %d", n)), c.conn.CloseWrite()); err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, c)
	}
	s.queued(clients)
	kill(t, worker, unix.SIGCONT)
	for n, c := range waiting {
		got, err := io.ReadAll(c.in)
		if want := fmt.Sprintf("one\ntwo %d", n); withoutPrefixes(t, string(got)) != want || err != nil {
			t.Errorf("client %d: got %q, %v; want %q", n, got, err, want)
		}
		_ = c.conn.Close() // all is read
	}
	s.unchanged(before)
	s.stop()
}
