// Package fdtable makes room for descriptors before they come.
//
// A process's table of descriptors doubles as their numbers grow, from 64 on, and
// in a process with several threads, which every Go process is, the kernel has the
// thread that needs the next number wait until no processor can be reading the old
// table: a grace period of RCU, some 15 ms (expand_fdtable in fs/file.c, Linux 6.18).
// Threads that take numbers for which there is room do not wait meanwhile. So a
// thread that nobody waits for has the table grow, well ahead.
//
// A table costs eight bytes of the kernel's memory for each number, and never
// shrinks.
package fdtable

import (
	"math/bits"
	"os"

	"golang.org/x/sys/unix"
)

// least is the first size asked for: 32 KiB. In the time that it takes to grow it
// once more, a process would have to get 2,000 descriptors to wait for it.
const least = 4096

// Ahead belongs to one goroutine.
type Ahead struct {
	// Any is a descriptor that is open meanwhile. It is duplicated, for a moment.
	Any int

	enough int // numbers below are provided for
}

// Reach says that fd is in use. When fd is in the upper half of the table the table
// grows in the background, unless the limit of descriptors (RLIMIT_NOFILE) is
// reached.
func (a *Ahead) Reach(fd int) {
	if fd >= a.enough {
		a.provide(fd)
	}
}

func (a *Ahead) provide(fd int) {
	size := max(least, 1<<bits.Len(uint(2*fd)))
	a.enough = size / 2
	go func() { _ = Grow(a.Any, size) }() // without it, the kernel grows it when it must
}

// Grow has room for numbers below size, or below the limit of descriptors if that
// is less. It blocks for as long as the table takes to grow. It borrows fd, any one,
// for the call. An error says that there is no memory, or that fd is none.
func Grow(fd, size int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	last := int(min(uint64(size), limit.Cur)) - 1
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, last)
	if err == unix.EMFILE {
		return nil // the last number is in use
	}
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	_ = unix.Close(high) // fd is what may have something to flush
	return nil
}
