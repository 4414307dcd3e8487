package master

import (
	"os"

	"golang.org/x/sys/unix"
)

// reserve holds a batch of descriptor numbers that nothing else can use up, so
// that a queue can be drained when the master is at its limit: a receiver
// without room would lose the connections in the packet, silently.
type reserve struct {
	size int
	fds  []int // owned, all of /dev/null
}

// fill takes up what is missing, as far as the limit allows now.
func (r *reserve) fill() {
	for len(r.fds) < r.size {
		fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return // at the limit: what was released is in use; the next fill tries again
		}
		r.fds = append(r.fds, fd)
	}
}

// release makes room for one packet of size descriptors.
func (r *reserve) release() {
	for _, fd := range r.fds {
		_ = unix.Close(fd) // of /dev/null: nothing to lose
	}
	r.fds = r.fds[:0]
}
