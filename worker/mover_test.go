package worker_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// Connections stand still while they wait for the master, so few do: no more are
// sent before it has taken those before, and at first only one.
func TestMovesWaitForTheMaster(t *testing.T) {
	old, next := newSeat(t, worker.DataFunc(echo)), newSeat(t, worker.DataFunc(echo))
	var clients []*client
	for range 40 {
		c := old.connect()
		c.send("x")
		c.expect("x")
		clients = append(clients, c)
	}
	old.tell(ipc.Drain{Mode: ipc.DrainMove, DeadlineMS: patience.Milliseconds()})

	var sizes []int
	var packet ipc.Packet
	for len(sizes) < 6 {
		switch err := old.courier.Receive(old.queue, &packet); {
		case errors.Is(err, fdpass.ErrWouldBlock):
			poll := []unix.PollFd{{Fd: int32(old.queue), Events: unix.POLLIN}}
			if ready, err := unix.Poll(poll, int(patience.Milliseconds())); ready == 0 && err == nil {
				t.Fatalf("packets of %v connections, and no more", sizes)
			}
			continue
		case err != nil:
			t.Fatal(err)
		}
		sizes = append(sizes, packet.Len())
		old.back += uint64(packet.Len())
		check(t, next.courier.Send(next.queue, &packet))
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
