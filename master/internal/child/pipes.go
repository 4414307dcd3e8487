package child

import (
	"os"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// pipes are all that connects a worker to its master.
type pipes struct {
	queue   int
	control *os.File
	stderr  *os.File

	child [6]int // what the worker's descriptor of that index is made of
}

// openPipes returns owned descriptors, all close-on-exec; child[1] and the
// scoreboard are borrowed.
func openPipes(scoreboard int) (p pipes, err error) {
	var owned []int
	defer func() {
		if err != nil {
			fdpass.CloseAll(owned)
		}
	}()
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return p, &os.PathError{Op: "open", Path: os.DevNull, Err: err}
	}
	owned = append(owned, null)
	var stderr [2]int
	if err := unix.Pipe2(stderr[:], unix.O_CLOEXEC); err != nil {
		return p, os.NewSyscallError("pipe2", err)
	}
	owned = append(owned, stderr[:]...)
	queue, workerQueue, err := fdpass.Pair()
	if err != nil {
		return p, err
	}
	owned = append(owned, queue, workerQueue)
	control, workerControl, err := fdpass.Pair()
	if err != nil {
		return p, err
	}
	owned = append(owned, control, workerControl)
	// Only the master's end: the worker's end is a blocking one, as any program expects.
	if err := unix.SetNonblock(stderr[0], true); err != nil {
		return p, os.NewSyscallError("fcntl", err)
	}
	return pipes{
		queue:   queue,
		control: os.NewFile(uintptr(control), "control"),
		stderr:  os.NewFile(uintptr(stderr[0]), "worker stderr"),
		child: [6]int{null, standardOutput(null), stderr[1],
			ipc.QueueFD: workerQueue, ipc.ControlFD: workerControl, ipc.ScoreboardFD: scoreboard},
	}, nil
}

// standardOutput returns the descriptor that is to be a worker's standard output:
// the master's, unless its reader has gone, since SIGPIPE would end a worker that
// prints; null then.
func standardOutput(null int) int {
	poll := []unix.PollFd{{Fd: int32(unix.Stdout)}}
	if _, err := unix.Poll(poll, 0); err == nil && poll[0].Revents&unix.POLLERR != 0 { // poll(2), of a pipe
		return null
	}
	return unix.Stdout
}

func (p *pipes) childFiles() []uintptr {
	files := make([]uintptr, len(p.child))
	for i, fd := range p.child {
		files[i] = uintptr(fd)
	}
	return files
}

// closeChildEnds closes what only the worker needs. The worker's end of the
// queue is not among it: that is the duplicate by which the queue outlives it.
func (p *pipes) closeChildEnds() {
	fdpass.CloseAll([]int{p.child[0], p.child[2], p.child[ipc.ControlFD]})
}
