package ipc

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Front returns the ConnID of the first connection that waits in a queue, or 0:
// none does, or it cannot be told. The master calls it. end is the end that would
// receive it, borrowed for the call. Nothing is taken out and no descriptor is made: a MSG_PEEK without
// room for control data gets none, and the packet keeps its own (unix(7)). It never
// blocks.
func Front(end int) (id uint64) {
	var b [headerSize + EnvelopeSize]byte
	if !peek(end, b[:]) {
		return 0
	}
	return binary.LittleEndian.Uint64(b[headerSize+8:])
}

// FrontLen is Front for how many connections the first packet carries. A worker of this
// module calls it, to wait until it has room for all of them.
func FrontLen(end int) int {
	var b [headerSize]byte
	if !peek(end, b[:]) {
		return 0
	}
	return int(binary.LittleEndian.Uint16(b[2:]))
}

// peek fills b with the beginning of the first packet.
func peek(end int, b []byte) bool {
	n, _, err := unix.Recvfrom(end, b, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err == nil && n == len(b)
}
