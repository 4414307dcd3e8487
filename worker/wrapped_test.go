package worker

import (
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// counter is a transport that changes nothing, and notes how much it was given at once.
type counter struct{ encoded, decoded []int }

func (t *counter) decode(raw []byte, eof bool) decoded {
	t.decoded = append(t.decoded, len(raw))
	return decoded{used: len(raw), plain: raw}
}
func (t *counter) encode(dst, plain []byte) []byte {
	t.encoded = append(t.encoded, len(plain))
	return append(dst, plain...)
}
func (t *counter) fault() error             { return nil }
func (t *counter) finish(dst []byte) []byte { return dst }
func (t *counter) freeze(dst []byte) []byte { return dst }

// wrappedLoop runs a loop of one connection, which has that transport. It returns a
// function that sends so many bytes to it, and sees them served.
func wrappedLoop(t *testing.T, what transport, h Handler) (send func(bytes int)) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	o := newOptions([]Option{WithLogger(hclog.NewNullLogger())})
	o.transports.wrap = func(place, bool) transport { return what }
	l, err := newLoop(o)
	must(t, err)
	l.start()
	t.Cleanup(func() {
		l.end()
		l.close()
		fdpass.CloseAll(pair[:1])
	})
	l.adopt(&ipc.Envelope{ID: 1}, pair[1]).openNew(h)
	return func(bytes int) {
		_, err := unix.Write(pair[0], make([]byte, bytes))
		must(t, err)
		_, err = l.turn(never, 0)
		must(t, err)
	}
}

// What one callback writes becomes one unit, and a large write few: the transport, and
// the kernel, are given much at a time.
func TestUnitsAreLarge(t *testing.T) {
	const large = 1 << 20
	tests := []struct {
		name  string
		write func(c *Conn) error
		want  int // units at most
		bytes int
	}{
		{"small writes", func(c *Conn) (err error) {
			for range 10 {
				_, err = c.Write([]byte("word"))
			}
			return err
		}, 1, 40},
		{"a head and a body", func(c *Conn) error {
			_, err := c.Writev([]byte("head"), make([]byte, 20<<10))
			return err
		}, 2, 4 + 20<<10},
		{"much", func(c *Conn) error {
			_, err := c.Write(make([]byte, large))
			return err
		}, large / encodeChunk, large},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			units := &counter{}
			h := DataFunc(func(c *Conn, in []byte) (int, error) { return len(in), test.write(c) })
			send := wrappedLoop(t, units, h)
			send(1)
			total := 0
			for _, n := range units.encoded {
				total += n
			}
			if len(units.encoded) > test.want || total != test.bytes {
				t.Errorf("encoded %v, want %d bytes in %d at most", units.encoded, test.bytes, test.want)
			}
		})
	}
}

// A transport that leaves too much is at fault, and its connection ends.
func TestUnitIsBounded(t *testing.T) {
	greedy := &greedy{}
	closed := make(chan error, 1)
	h := OpenFunc(func(c *Conn) (Session, error) { return ender{closed}, nil })
	t.Cleanup(func() { // after the loop's end
		if err := <-closed; err != errUnitSize {
			t.Errorf("closed because of %v", err)
		}
	})
	send := wrappedLoop(t, greedy, h)
	for range 3 {
		send(10 << 10)
	}
	if greedy.most > 30<<10 {
		t.Errorf("%d bytes were kept for it", greedy.most)
	}
}

type greedy struct {
	counter
	most int
}

func (g *greedy) decode(raw []byte, eof bool) decoded {
	g.most = max(g.most, len(raw))
	return decoded{}
}

// ender reports the end of its connection.
type ender struct{ closed chan error }

func (e ender) Data(_ *Conn, in []byte) (int, error) { return len(in), nil }
func (e ender) Close(_ *Conn, err error)             { e.closed <- err }
