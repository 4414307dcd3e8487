package dispatch

import (
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// checkGivenBack looks at what a worker gave back, which fills the batch. What is not a
// stream socket, or has a state that is no memfd, is closed and counts as lost, and the
// worker is replaced.
func (d *dispatcher) checkGivenBack(q *workerQueue) {
	var why error
	wrong := 0
	for i := range d.batch.Len() {
		if err := sanitize(d.batch.FD(i), d.batch.StateFD()); err != nil {
			d.discards.discard([]int{d.batch.Take(i), d.batch.TakeState()})
			d.lose(i)
			why = err
			wrong++
		}
	}
	if wrong == 0 {
		return
	}
	d.totals.lost += uint64(wrong)
	message := "connections lost: what was given back is no stream socket"
	if why == errNoMemfd {
		message = "connections lost: the state that was given back is no memfd"
	}
	d.log.Error(message, "slot", q.spec.Slot, "count", wrong)
	d.fail(q, why)
}

// sanitize returns an error unless conn is a stream socket and state, if there is one, a
// memfd. It makes the socket such that neither another worker's loop nor a close waits
// for it: the worker may have set it to block, or SO_LINGER. It borrows both.
func sanitize(conn, state int) error {
	kind, err := unix.GetsockoptInt(conn, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_STREAM || dontLinger(conn) != nil {
		return errNoStream
	}
	flags, err := unix.FcntlInt(uintptr(conn), unix.F_GETFL, 0)
	if err == nil && flags&unix.O_NONBLOCK == 0 {
		err = unix.SetNonblock(conn, true)
	}
	if err != nil {
		return errNoStream
	}
	if state >= 0 && !fdpass.IsMemory(state) {
		return errNoMemfd
	}
	return nil
}

// lose closes connection i in the batch, which nobody can serve.
func (d *dispatcher) lose(i int) {
	d.stages[i].Step(ipc.EventDie)
	d.perIP.forget(d.batch.ID(i))
	d.batch.Drop(i)
}
