package master

import (
	"fmt"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/dispatch"
)

// This file is how the supervisor detects a worker that has closed its queue. The socket
// does not show that, since the master has a duplicate of the worker's end.

// queueIdle: a worker that leaves its queue alone may have none.
func (s *supervisor) queueIdle(e dispatch.QueueIdle) {
	if s.slotOfWorker(e.Worker) == nil {
		return
	}
	go func() { // it may have many descriptors
		if child.ClosedQueue(e.PID, e.Inode) {
			s.inbox.Put(dispatch.QueueBroken{Worker: e.Worker, Err: errQueueClosed})
		}
	}()
}

var errQueueClosed = fmt.Errorf("it has closed its queue, descriptor %d", ipc.QueueFD)
