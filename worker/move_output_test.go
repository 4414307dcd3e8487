package worker_test

import (
	"testing"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
)

// Output that the kernel took in part goes on behind that part.
func TestMoveWithOutput(t *testing.T) {
	const most = 60 // KiB; of those that the kernel takes no more of, some can still move
	answer := make([]byte, most<<10)
	for i := range answer {
		answer[i] = byte(i % 251)
	}
	size := worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		_, err := c.Write(answer[:int(in[0])<<10])
		return len(in), err
	})
	old, next := newRig(t, size), newRig(t, size)
	var clients []*client
	for kib := 1; kib <= most; kib++ {
		c := old.connectBuffered(4 << 10)
		c.send(string(rune(kib)))
		clients = append(clients, c)
	}
	for i, c := range clients {
		c.expect(string(answer[:(i+1)<<9])) // half of it
	}
	moved := make(chan error, 1)
	go func() { moved <- old.routeAll(next) }()
	old.tell(ipc.Drain{Mode: ipc.DrainMove})
	for i, c := range clients {
		c.expect(string(answer[(i+1)<<9 : (i+1)<<10]))
	}
	check(t, await(t, moved))
	old.expectDrained()
	for _, c := range clients {
		c.closeWrite()
		c.expectEnd()
	}
}
