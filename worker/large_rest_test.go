package worker

import (
	"net/netip"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
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
	made, err := newTestLoop(h, []Option{WithLogger(hclog.NewNullLogger())}, func(uint64, error) {})
	must(t, err)
	l := made.(*testLoop)
	fd, err := l.Connect(1, "", netip.AddrPort{}, netip.AddrPort{})
	must(t, err)
	defer fdpass.CloseAll([]int{fd})
	defer l.End()
	must(t, l.Settle())
	l.beginDrain(never, true)
	for range beats {
		l.Advance(beat)
		must(t, l.Settle())
	}
	t.Logf("packed %d times in a minute", h.packed)
	if h.packed > 15 {
		t.Errorf("packed %d times in a minute", h.packed)
	}
	if h.packed < 5 {
		t.Errorf("packed %d times in a minute: it would stay though it had become smaller", h.packed)
	}
	h.state = h.state[:1]
	for n := 0; l.table.live > 0; n++ {
		if n == beats {
			t.Fatal("does not move, though it has become smaller")
		}
		l.Advance(beat)
		must(t, l.Settle())
	}
}
