package child

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"github.com/usher-go/usher/ipc"
)

// This file reads what /proc says of a process (proc(5)). By now the process may have
// ended, and its number be another's: so what it says is a guess.

// Stopped reports whether a process is stopped or traced.
func Stopped(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	// The state, T or t, follows the name in parentheses, which may hold any byte.
	if i := bytes.LastIndexByte(stat, ')'); i >= 0 && i+2 < len(stat) {
		return stat[i+2] == 'T' || stat[i+2] == 't'
	}
	return false
}

// ResidentBytes is the resident memory of a process, or 0 if that cannot be told.
func ResidentBytes(pid int) int64 {
	statm, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(statm), &size, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}

// ClosedQueue reports whether a worker's process has no descriptor of its queue,
// whose socket has the inode: not where it was given it, and nowhere else. If that
// cannot be told, no. It may take its time: the process may have many descriptors.
func ClosedQueue(pid int, inode uint64) bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd/"
	want := "socket:[" + strconv.FormatUint(inode, 10) + "]"
	if link, err := os.Readlink(dir + strconv.Itoa(ipc.QueueFD)); err == nil && link == want {
		return false
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 { // another user's, or it has ended
		return false
	}
	for _, entry := range entries {
		if link, err := os.Readlink(dir + entry.Name()); err == nil && link == want {
			return false
		}
	}
	return true
}
