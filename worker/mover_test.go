package worker_test

import (
	"slices"
	"testing"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// Connections stand still while they wait for the master, so few do: no more are
// sent before it has taken those before, and at first only one.
func TestMovesWaitForTheMaster(t *testing.T) {
	old, next := newRig(t, worker.DataFunc(echo)), newRig(t, worker.DataFunc(echo))
	clients := old.connectAll(40)
	old.tell(ipc.Drain{Mode: ipc.DrainMove, DeadlineMS: patience.Milliseconds()})

	var sizes []int
	var packet ipc.Packet
	for len(sizes) < 6 {
		if err := whenReady(old.queue, unix.POLLIN, func() error { return old.packets.Receive(old.queue, &packet) }); err != nil {
			t.Fatalf("packets of %v connections, and then: %v", sizes, err)
		}
		sizes = append(sizes, packet.Len())
		old.back += uint64(packet.Len())
		check(t, next.packets.Send(next.queue, &packet))
	}
	if want := []int{1, 2, 4, 8, 16, 9}; !slices.Equal(sizes, want) {
		t.Errorf("packets of %v connections, want %v", sizes, want)
	}
	old.expectDrained()
	for _, c := range clients {
		c.send("y")
		c.expect("y")
		check(t, c.Close())
	}
}
