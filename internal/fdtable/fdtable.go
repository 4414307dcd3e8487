// Package fdtable makes room for descriptors before they come.
//
// A process's table of descriptors doubles as their numbers grow, from 64 on, and
// in a process with several threads, which every Go process is, the kernel has the
// thread that needs the next number wait until no processor can be reading the old
// table: a grace period of RCU, some 15 ms (expand_fdtable in fs/file.c, Linux 6.18).
// So a process has it grow when it starts, before anybody waits.
//
// A table costs eight bytes of the kernel's memory for each number, and never
// shrinks.
package fdtable

import (
	"os"

	"golang.org/x/sys/unix"
)

// Grow makes the table hold numbers below size, or below the limit of descriptors if
// that is less. It blocks for as long as the table takes to grow. It borrows fd, which
// may be any descriptor, for the call. An error says that there is no memory, or that fd
// is not open.
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
	_ = unix.Close(high) // a duplicate has nothing to flush
	return nil
}
