package worker

import (
	"errors"
	"fmt"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/killpoint"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// This file is what becomes of a packet that the intake has received: each connection in
// it is adopted, in order, and opened, as a new one or as what it was in another worker, or
// waits for its header and handshake first;
// if a Streams handler serves its listener, it goes to that instead. All of this runs on
// the loop's goroutine.

var errLate = errors.New("worker: connection waited too long in the queue")

// adoptPacket adopts the connections of the packet. It leaves some for the next turn
// once moveTime has passed since begun.
func (q *intake) adoptPacket(begun time.Duration) error {
	l := q.member.loop
	for first := true; q.pending(); first = false {
		if !first && l.now()-begun > moveTime {
			return nil
		}
		q.at++
		if err := q.adopt(q.at - 1); err != nil {
			q.drop()
			return err
		}
		l.progress()
	}
	q.drop() // only the memfd of a state may be left, which no session wanted
	if q.late > 0 {
		l.log.Warn("connections closed, they waited too long in the queue", "count", q.late, "limit", q.timeout)
		q.late = 0
	}
	return nil
}

// drop closes the connections of the packet that are not adopted, and empties it.
func (q *intake) drop() {
	for ; q.pending(); q.at++ {
		id := q.packet.ID(q.at)
		_ = unix.Close(q.packet.Take(q.at)) // the kernel sends what was written to it
		q.member.ledger.closed(id, false)
	}
	q.packet.Close()
	q.packet.Reset()
	q.at = 0
}

// adopt makes a connection of the packet's number i, and opens it, or passes it to
// streams. An error means that the master broke the protocol.
func (q *intake) adopt(i int) error {
	if err := q.packet.Decode(i, &q.envelope); err != nil {
		return err
	}
	if q.envelope.Accepted > 0 && !q.packet.Frozen(i) {
		q.member.loop.meter.waited(q.came - q.envelope.Accepted)
	}
	fd := q.packet.Take(i)
	if q.streams != nil && q.streams.adopt(&q.envelope, fd, q.packet.Frozen(i)) {
		return nil
	}
	l := q.member.loop
	c := l.adopt(&q.envelope, fd)
	q.open(c, q.packet.Frozen(i))
	c.touch()
	l.settle()
	killpoint.Reach(killpoint.Opened)
	if l.drains {
		c.askToDrain()
		l.settle()
	}
	return nil
}

// open opens a connection that has come: as a new one or, if it is frozen, as what it was
// in another worker. One that does not open is closed, and lost if it was frozen.
func (q *intake) open(c *Conn, frozen bool) {
	stage := ipc.StageQueued
	stage.Step(ipc.EventReceive)
	event, err, frozenAt := ipc.EventOpen, error(nil), time.Duration(0)
	switch {
	case frozen:
		frozenAt, err = q.thaw(c)
		switch {
		case errors.Is(err, errUnverified):
			event = ipc.EventClose
		case err != nil:
			event = ipc.EventFail
		}
	case q.tooLate():
		event, err = ipc.EventClose, errLate
	default:
		if err = c.open(q.member.handler); err != nil {
			event = ipc.EventClose
		}
	}
	switch stage.Step(event) {
	case ipc.StageLost:
		q.member.lose(c, err)
	case ipc.StageClosed:
		switch {
		case err == errLate:
			c.fail(err)
			return
		case errors.Is(err, errUnverified):
			c.refuse(refusedClient(c.origin.transport.(tlsTransport), err))
		default:
			c.refused(err)
		}
	}
	if frozen {
		pause := q.clock.Now() - frozenAt
		q.member.ledger.thawed(pause)
		q.member.loop.meter.paused(pause)
	}
}

// thaw thaws a connection with the state that came with it, in the packet or in a
// memfd. It returns when that was frozen, by the clock of envelopes.
func (q *intake) thaw(c *Conn) (frozenAt time.Duration, err error) {
	frozenAt = q.clock.Now() // for a state that cannot be read
	state := q.envelope.State
	if q.packet.Large() {
		memfd := q.packet.TakeState()
		state, err = ipc.ReadState(memfd)
		fdpass.CloseAll([]int{memfd})
		if err != nil {
			return frozenAt, err
		}
	}
	var f frozen
	if err := f.decode(state); err != nil {
		return frozenAt, err
	}
	defer clear(f.transport) // it may hold keys
	return f.at, c.thaw(&f, q.member.handler)
}

// tooLate reports whether the envelope's connection has waited for too long to be
// worth serving, and counts it if so.
func (q *intake) tooLate() bool {
	late := q.timeout > 0 && q.clock.Now()-q.envelope.Accepted > q.timeout
	if late {
		q.late++
	}
	return late
}

// lose closes a connection that could not be thawed, and counts it as lost.
func (m *member) lose(c *Conn, err error) {
	m.loop.log.Error("connection lost: it could not be thawed", "conn", c.id, "peer", c.RemoteAddr(),
		"listener", c.origin.listener, "error", err)
	m.ledger.lost(err)
	c.fail(fmt.Errorf("worker: thaw: %w", err))
}
