package master

import (
	"fmt"
	"os"
	"strconv"

	"github.com/usher-go/usher/ipc"
)

// This file is how a worker is found out that has closed its queue: the socket does
// not show it, since the master has a duplicate of the worker's end.

// queueIdle: a worker that leaves its queue alone may have none.
func (s *supervisor) queueIdle(e QueueIdle) {
	if s.worker(e.Worker) == nil {
		return
	}
	go func() { // it may have many descriptors
		if holdsNot(e.PID, e.Inode) {
			s.inbox.Put(QueueBroken{e.Worker, errQueueClosed})
		}
	}()
}

var errQueueClosed = fmt.Errorf("it has closed its queue, descriptor %d", ipc.QueueFD)

// holdsNot reports whether a process has no descriptor of a socket: not where it was
// given it, and nowhere else. If that cannot be told, no.
func holdsNot(pid int, inode uint64) bool {
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
