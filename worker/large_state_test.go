package worker

import (
	"testing"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// hoarder is a session with a large state, which it packs whenever it is asked.
type hoarder struct {
	state  []byte
	packed int
}

func (h *hoarder) Open(*Conn) (Session, error)          { return h, nil }
func (h *hoarder) Data(_ *Conn, in []byte) (int, error) { return len(in), nil }
func (h *hoarder) MarshalBinary() ([]byte, error)       { h.packed++; return h.state, nil }
func (h *hoarder) UnmarshalBinary([]byte) error         { return nil }

// A session that is too large to move is packed now and then, and not as fast as
// the processor can while its worker drains; when it has become smaller it moves.
func TestStateThatIsTooLargeCostsLittle(t *testing.T) {
	const beat, beats = 100 * time.Millisecond, 600       // a minute
	h := &hoarder{state: make([]byte, ipc.MaxLargeState)} // and with what is around it, more
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer fdpass.CloseAll(pair[:1])
	m, now := newTestMember(t, h), time.Duration(0)
	m.loop.clock = func() time.Duration { return now }
	m.loop.start()
	defer func() { m.end(); m.close() }()
	m.loop.adopt(&ipc.Envelope{ID: 1}, pair[1]).openNew(h)
	m.drain.begin(never, true)
	pass := func() {
		for now += beat; ; {
			must(t, m.turn(false))
			if min(m.loop.nextDeadline(), m.nextDeadline()) > now {
				return
			}
		}
	}
	for range beats {
		pass()
	}
	t.Logf("packed %d times in a minute", h.packed)
	if h.packed > 15 {
		t.Errorf("packed %d times in a minute", h.packed)
	}
	if h.packed < 5 {
		t.Errorf("packed %d times in a minute: it would stay though it had become smaller", h.packed)
	}
	h.state = h.state[:1]
	for n := 0; m.loop.table.live > 0; n++ {
		if n == beats {
			t.Fatal("does not move, though it has become smaller")
		}
		pass()
	}
}
