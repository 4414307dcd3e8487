// Package ipc is what a master and a worker say to each other: the only thing
// the two have in common, and enough to write a worker in another language.
//
// A worker is started with three descriptors beside the standard ones:
//
//	3 QueueFD       packets of connections: envelopes, one descriptor each; a large
//	                state travels alone with its connection, as a second descriptor
//	4 ControlFD     JSON messages, one a packet; with two of the master's comes a memfd
//	5 ScoreboardFD  shared memory, one entry a slot
//
// and with its identity in the environment (see [Identity]). Both sockets are
// non-blocking SOCK_SEQPACKET; end of file on control means that the master is
// gone, and ends the worker. PROTOCOL.md beside this file is the specification
// for those who do not use Go; the golden files in testdata/ipc keep it from
// changing.
//
// The invariant: a packet on the queue is the point of ownership. Its
// connections belong to the sender until the kernel has taken it, and to the
// receiver once it is received. Stage is the whole of that rule.
//
// It is for who writes a worker in Go without package worker, or another master; who
// only wants to serve connections needs package worker alone. This package knows no policy,
// no event loop, no processes, and never logs. What is not said to be for any goroutine is
// for one at a time, and nothing in it waits for the other side.
//
// A worker in ten lines:
//
//	identity, _, err := ipc.IdentityFromEnviron(os.Environ())
//	...
//	ready, err := ipc.EncodeMessage(ipc.Ready{Protocol: ipc.Version})
//	_, err = unix.Write(ipc.ControlFD, ready)
//	...
//	var packets ipc.PacketConn
//	var packet ipc.Packet
//	err = packets.Receive(ipc.QueueFD, &packet)
//	for i := range packet.Len() {
//		fd := packet.Take(i) // an owned, non-blocking, connected socket
//	}
package ipc

import "errors"

// Version is the protocol spoken here. A worker whose version differs is
// refused when it says ready; the number is the only compatibility rule.
const Version = 1

// The descriptors that a worker is started with, beside 0 (/dev/null), 1
// (inherited) and 2 (a pipe to the master's log).
const (
	QueueFD      = 3
	ControlFD    = 4
	ScoreboardFD = 5
)

// ErrMalformed is what errors about bytes that break the protocol wrap. The
// sender is to be replaced: it is a worker with a bug, or no worker.
var ErrMalformed = errors.New("malformed")
