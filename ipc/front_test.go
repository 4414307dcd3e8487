package ipc

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Front tells which connection is first, takes nothing out and leaves no
// descriptor behind.
func TestFront(t *testing.T) {
	a, b := queue(t)
	if id := Front(b); id != 0 {
		t.Errorf("%d is at the front of an empty queue", id)
	}
	var packets PacketConn
	var p Packet
	for _, id := range []uint64{7, 1<<64 - 1} {
		p.Add(&Envelope{ID: id}, null(t))
		p.Add(&Envelope{ID: 8}, null(t))
		if err := packets.Send(a, &p); err != nil {
			t.Fatal(err)
		}
	}
	before := openNow(t)
	for _, want := range []uint64{7, 1<<64 - 1, 0} {
		for range 2 {
			if id := Front(b); id != want {
				t.Errorf("%d is at the front, want %d", id, want)
			}
		}
		if after := openNow(t); after != before {
			t.Errorf("%d descriptors open before, %d after", before, after)
		}
		if want == 0 {
			break
		}
		if err := packets.Receive(b, &p); err != nil || p.Len() != 2 || p.ID(0) != want {
			t.Fatalf("received %d connections, the first is %d, %v", p.Len(), p.ID(0), err)
		}
		p.Close()
	}
	if _, err := unix.Write(a, []byte("junk")); err != nil {
		t.Fatal(err)
	}
	if id := Front(b); id != 0 {
		t.Errorf("%d is at the front, which is junk", id)
	}
}

func openNow(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}
