package descriptor

import (
	"os"

	"golang.org/x/sys/unix"
)

// Reserve holds descriptor numbers that nothing else can use up, so that something can
// be done that needs them when the process is at its limit. The zero value holds none.
// It belongs to one goroutine.
type Reserve struct {
	Size int // how many Fill holds
	fds  []int
}

// Fill takes up what is missing, as far as the limit allows now, and reports whether
// that is all.
func (r *Reserve) Fill() bool {
	for len(r.fds) < r.Size {
		fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return false // at the limit: what was released is in use; the next Fill tries again
		}
		r.fds = append(r.fds, fd)
	}
	return true
}

// Release gives all of them up, for Size descriptors that are to be opened now.
func (r *Reserve) Release() {
	for _, fd := range r.fds {
		_ = unix.Close(fd) // of /dev/null: nothing to lose
	}
	r.fds = r.fds[:0]
}
