package master

import (
	"fmt"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/dispatch"
)

// This file is how the supervisor detects a worker that has closed its queue. The socket
// does not show that, since the master has a duplicate of the worker's end.

// queueIdle has a goroutine find out whether a worker that takes nothing from its queue
// still has it. If not, the supervisor hears that the queue is broken.
func (s *supervisor) queueIdle(e dispatch.QueueIdle) {
	if s.slotOfWorker(e.Worker) == nil {
		return
	}
	go func() { // to look through all descriptors of the worker may take long
		if child.ClosedQueue(e.PID, e.Inode) {
			s.inbox.Put(dispatch.QueueBroken{Worker: e.Worker, Err: errQueueClosed})
		}
	}()
}

var errQueueClosed = fmt.Errorf("it has closed its queue, descriptor %d", ipc.QueueFD)
