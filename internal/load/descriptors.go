package load

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ownDescriptors is what a process needs beside its connections.
const ownDescriptors = 32

// enoughDescriptors says what to do if there are not enough for so many
// connections. Go has raised the limit as far as it goes.
func enoughDescriptors(conns int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	room := max(int64(min(limit.Cur, 1<<40))-ownDescriptors, 1)
	if int64(conns) <= room {
		return nil
	}
	return fmt.Errorf("%d connections need %d descriptors, and this process may have %d: use %d --processes at least, or raise the limit (ulimit -n)",
		conns, conns+ownDescriptors, limit.Cur, (int64(conns)+room-1)/room)
}
