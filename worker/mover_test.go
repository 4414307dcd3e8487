package worker_test

import (
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

	var packet ipc.Packet
	for most, left := 1, len(clients); left > 0; most *= 2 {
		if err := whenReady(old.queue, unix.POLLIN, func() error { return old.packets.Receive(old.queue, &packet) }); err != nil {
			t.Fatalf("%d connections are left, and then: %v", left, err)
		}
		if n := packet.Len(); n > most { // fewer, if the worker is slow: then its events have their turn first
			t.Errorf("a packet of %d connections, want at most %d", n, most)
		}
		left -= packet.Len()
		old.back += uint64(packet.Len())
		check(t, next.packets.Send(next.queue, &packet))
	}
	old.expectDrained()
	for _, c := range clients {
		c.send("y")
		c.expect("y")
		check(t, c.Close())
	}
}
