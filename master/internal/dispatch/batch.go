package dispatch

import "github.com/usher-go/usher/ipc"

// This file is who owns each connection in the batch: the master, until a queue took it or
// it was lost. What is the master's no more keeps its place until the batch is reset.

// held returns how many connections in the batch are the master's.
func (d *dispatcher) held() (n int) {
	for i := range d.batch.Len() {
		if d.owns(i) {
			n++
		}
	}
	return n
}

// owns reports whether connection i in the batch is the master's still.
func (d *dispatcher) owns(i int) bool { return d.stages[i].Owner() == ipc.OwnerMaster }

// stepAll has all in the batch, which were in a stage when they came, go on by an event.
func (d *dispatcher) stepAll(from ipc.Stage, event ipc.Event) {
	for i := range d.batch.Len() {
		d.stages[i] = from
		d.stages[i].Step(event)
	}
}

// addAccepted adds a connection that was just accepted to the batch, and takes ownership
// of fd. As many fit as a packet holds.
func (d *dispatcher) addAccepted(e *ipc.Envelope, fd int) {
	i := d.batch.Len()
	d.batch.Add(e, fd)
	d.stages[i] = ipc.StageBacklog
	d.stages[i].Step(ipc.EventAccept)
}
