package worker_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/usher-go/usher/internal/tlsrecord"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// ending is a session that reports its end, and must not hear that its input has ended in
// order.
type ending struct {
	t      *testing.T
	closed chan error
}

func (h *ending) Open(*worker.Conn) (worker.Session, error)   { return h, nil }
func (h *ending) Data(c *worker.Conn, in []byte) (int, error) { return c.Write(in) }
func (h *ending) Close(_ *worker.Conn, err error)             { h.closed <- err }
func (h *ending) EOF(*worker.Conn, []byte) error {
	h.t.Error("it heard of an end in order")
	return nil
}

// What does not fit ends the connection, after all that came before it. The peer is told
// by an alert, the session by Close, and nobody else notices.
func TestSpoiledRecords(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(r *records)
		alert uint8
	}{
		{"a bit", func(r *records) {
			b := r.record(recordData, "spoiled", 0)
			b[10] ^= 1
			r.put(b)
		}, 20},
		{"a bit of the tag", func(r *records) {
			b := r.record(recordData, "spoiled", 0)
			b[len(b)-1] ^= 0x80
			r.put(b)
		}, 20},
		{"twice", func(r *records) {
			b := r.record(recordData, "", 5)
			r.put(b, b)
		}, 20},
		{"in another order", func(r *records) {
			one, two := r.record(recordData, "one", 0), r.record(recordData, "two", 0)
			r.put(two, one)
		}, 20},
		{"without one before", func(r *records) {
			r.record(recordData, "lost", 0)
			r.say("found")
		}, 20},
		{"too long", func(r *records) { r.put([]byte("\x17\x03\x03\x41\x01")) }, 22},
		{"too long inside", func(r *records) { r.say(strings.Repeat("x", 1<<14+1)) }, 22},
		{"too short", func(r *records) { r.put([]byte("\x17\x03\x03\x00\x05abcde")) }, 20},
		{"plain", func(r *records) { r.put([]byte("\x16\x03\x03\x00\x04\x01\x00\x00\x00")) }, 10},
		{"HTTP", func(r *records) { r.put([]byte("GET / HTTP/1.1\r\n\r\n")) }, 10},
		{"of no type", func(r *records) { r.put(r.record(0, "", 10)) }, 10},
		{"of a type that there is not", func(r *records) { r.put(r.record(99, "x", 0)) }, 10},
		{"a message that there is not", func(r *records) { r.put(r.record(recordHandshake, "\x01\x00\x00\x00", 0)) }, 10},
		{"many empty ones", func(r *records) {
			for range 17 {
				r.say("")
			}
		}, 10},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := &ending{t, make(chan error, 2)}
			s, config := newPassing(t, ipc.Hello{}, withTLS, h)
			neighbour := s.connect().secure(config)
			r := s.connect().shakeForRecords(config)
			r.say("before")
			r.hear("before")
			test.spoil(r)
			if err := r.end(); !errors.Is(err, tls.AlertError(test.alert)) {
				t.Errorf("heard %v, want alert %d", err, test.alert)
			}
			check(t, r.Conn.Close())
			if err := await(t, h.closed); err == nil {
				t.Error("closed in order")
			}
			neighbour.send("x")
			neighbour.expect("x")
		})
	}
}

// An end that the transport does not tell of is none: somebody may have cut it.
func TestEndWithoutCloseNotify(t *testing.T) {
	for _, cut := range []int{0, 3, 20} {
		h := &ending{t, make(chan error, 1)}
		s, config := newPassing(t, ipc.Hello{}, withTLS, h)
		r := s.connect().shakeForRecords(config)
		r.say("before")
		r.put(r.record(recordData, "cut", 0)[:cut])
		check(t, r.Conn.(*net.TCPConn).CloseWrite())
		r.hear("before")
		if err := r.end(); err != nil { // it says its own end, all the same
			t.Error(err)
		}
		check(t, r.Conn.Close())
		expectClose(t, h.closed, io.ErrUnexpectedEOF)
	}
}

// A peer's alert is what Close is told.
func TestAlertOfThePeer(t *testing.T) {
	h := &ending{t, make(chan error, 1)}
	s, config := newPassing(t, ipc.Hello{}, withTLS, h)
	r := s.connect().shakeForRecords(config)
	r.say("x")
	r.hear("x")
	r.put(r.record(recordAlert, "\x02\x50", 0))
	check(t, r.Conn.Close())
	expectClose(t, h.closed, tls.AlertError(80))
}

// asked answers input with a question mark in it, and reports all.
type asked struct{ seen chan string }

func (h *asked) Open(*worker.Conn) (worker.Session, error) { return h, nil }
func (h *asked) Data(c *worker.Conn, in []byte) (int, error) {
	h.seen <- string(in)
	if bytes.ContainsRune(in, '?') {
		_, err := c.Write([]byte("an answer"))
		return len(in), err
	}
	return len(in), nil
}
func (h *asked) MarshalBinary() ([]byte, error) { return nil, nil }
func (h *asked) UnmarshalBinary([]byte) error   { return nil }

// A KeyUpdate that was asked for is owed until something is sent: by the next worker, then.
// One that is cut between two records goes on there, too.
func TestKeyUpdateIsOwed(t *testing.T) {
	h := &asked{make(chan string, 10)}
	old, config := newPassing(t, ipc.Hello{}, withTLS, h)
	r := old.connect().shakeForRecords(config)
	for _, cut := range []int{0, 1, 4} {
		next, _ := newPassing(t, ipc.Hello{}, withTLS, h)
		const update = "\x18\x00\x00\x01\x01" // and that of the peer is wanted
		if cut > 0 {
			r.put(r.record(recordHandshake, update[:cut], 0))
			old.move(next)
			old = next
			next, _ = newPassing(t, ipc.Hello{}, withTLS, h)
		}
		r.put(r.record(recordHandshake, update[cut:], 0))
		r.update()
		r.say("moved?"[:5])
		if got := await(t, h.seen); got != "moved" {
			t.Fatal(got)
		}
		old.move(next)
		old = next
		before := r.opened
		r.say("?")
		r.hear("an answer")
		if got := r.opened - before; got != 2 {
			t.Errorf("%d records, want a KeyUpdate and an answer", got)
		}
		await(t, h.seen)
	}
	check(t, r.Conn.Close())
}

// A connection moves with a part of a record, wherever it is cut.
func TestMoveInTheMiddleOfARecord(t *testing.T) {
	old, config := newPassing(t, ipc.Hello{}, withTLS, worker.DataFunc(echo))
	r := old.connect().shakeForRecords(config)
	r.say("before")
	r.hear("before")
	b := r.record(recordData, "in the middle", 3)
	for i := range b {
		r.put(b[i : i+1])
		next, _ := newPassing(t, ipc.Hello{}, withTLS, worker.DataFunc(echo))
		old.move(next)
		old = next
	}
	r.hear("in the middle")
	check(t, r.Conn.Close())
}

// What a callback writes is one record, and much is as few as there can be.
func TestRecordsAreLarge(t *testing.T) {
	const much = 1 << 20
	tests := []struct {
		name  string
		write func(c *worker.Conn) error
		bytes int
		want  int
	}{
		{"small writes", func(c *worker.Conn) (err error) {
			for range 10 {
				_, err = c.Write(make([]byte, 4))
			}
			return err
		}, 40, 1},
		{"much", func(c *worker.Conn) error {
			_, err := c.Write(make([]byte, much))
			return err
		}, much, much >> 14},
		{"a head and a body", func(c *worker.Conn) error {
			_, err := c.Writev(make([]byte, 100), make([]byte, 16<<10))
			return err
		}, 100 + 16<<10, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, config := newPassing(t, ipc.Hello{}, withTLS, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
				return len(in), test.write(c)
			}))
			r := s.connect().shakeForRecords(config)
			r.say("x")
			r.hear(string(make([]byte, test.bytes)))
			if r.opened != test.want {
				t.Errorf("%d records, want %d", r.opened, test.want)
			}
			check(t, r.Conn.Close())
		})
	}
}

// A worker that is told to stop says the end of its connections, as one does whose drain
// has come to its deadline.
func TestStopSaysTheEnd(t *testing.T) {
	s, config := newPassing(t, ipc.Hello{}, withTLS, worker.DataFunc(echo))
	r := s.connect().shakeForRecords(config)
	r.say("x")
	r.hear("x")
	s.tell(ipc.Stop{})
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

// The short way of a record takes no memory.
func TestSealedEchoDoesNotAllocate(t *testing.T) {
	s, config := newPassing(t, ipc.Hello{}, withTLS, worker.DataFunc(echo))
	fd, conn := rawPair(t, s.listen)
	s.hand(conn)
	duplicate, err := unix.Dup(fd)
	check(t, err)
	file := os.NewFile(uintptr(duplicate), "client")
	shaken, err := net.FileConn(file) // for the handshake alone
	check(t, err)
	check(t, file.Close())
	c := newClient(t, shaken) // it has made the socket non-blocking, for both
	secrets := &secretsOf{}
	config.KeyLogWriter = secrets
	secure := tls.Client(c.Conn, config)
	check(t, secure.Handshake())
	layer, err := tlsrecord.NewTLS13(tlsrecord.Client, secure.ConnectionState().CipherSuite, secrets.client, secrets.server, 0, 0)
	check(t, err)
	check(t, unix.SetNonblock(fd, false))
	var plain [64]byte
	out, in := make([]byte, 0, 1<<10), make([]byte, 1<<10)
	allocs := testing.AllocsPerRun(30, func() { // see TestEchoDoesNotAllocate
		out = layer.Seal(out[:0], plain[:])
		if n, err := unix.Write(fd, out); n != len(out) || err != nil {
			t.Fatal(n, err)
		}
		n, err := unix.Read(fd, in)
		if err != nil {
			t.Fatal(err)
		}
		if o := layer.Open(in[:n]); len(o.Plain) != len(plain) || o.Err != nil {
			t.Fatal(n, o.Err)
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations for a round trip", allocs)
	}
	check(t, unix.Close(fd))
	check(t, c.Conn.Close())
}
