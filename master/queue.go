package master

import "github.com/usher-go/usher/fdpass"

// closeQueue closes both ends of a queue that the accept goroutine was not given. It
// does not block: a worker that was never ready may have sent something all the same,
// which is closed with the queue, whatever it is.
func closeQueue(queue, workerEnd int) {
	go fdpass.CloseAll([]int{queue, workerEnd})
}
