package ipc

import (
	"strings"
	"testing"
)

// A batch of new connections fits into a packet, however long their listener's name
// is that a master takes, and with one byte more it does not.
func TestMaxNameInBatch(t *testing.T) {
	fit := func(name int) (n int) {
		p := new(Packet)
		for n < MaxConns && p.Add(&Envelope{ID: 1, Listener: strings.Repeat("n", name)}, 0) {
			n++
		}
		return n
	}
	if n := fit(MaxNameInBatch); n != MaxConns {
		t.Errorf("%d fit with a name of %d bytes, want %d", n, MaxNameInBatch, MaxConns)
	}
	if n := fit(MaxNameInBatch + 1); n == MaxConns {
		t.Errorf("a name of %d bytes is refused for nothing", MaxNameInBatch+1)
	}
}
