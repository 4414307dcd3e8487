package ipc

import (
	"encoding/binary"
	"fmt"

	"github.com/usher-go/usher/fdpass"
)

// The bounds of a packet on the queue.
const (
	// MaxPacket is the longest packet, in bytes.
	MaxPacket = 16 << 10
	// MaxConns is the most connections in a packet: beyond 64 descriptors a
	// larger batch saves nothing.
	MaxConns = 64
	// MaxState is the longest frozen state that always fits into an empty packet.
	MaxState = MaxPacket - headerSize - EnvelopeSize - MaxName

	headerSize = 8
)

// Kind says what a packet on the queue holds.
type Kind uint8

// KindConns is connections: envelopes, and a descriptor for each in the same order.
const KindConns Kind = 1

// Packet is a batch of connections: being put together, or received. It owns
// the descriptors in it. The zero value is empty and ready to use; it is large,
// is meant to be used again and again, and is for one goroutine at a time.
//
// On the wire (all numbers little-endian):
//
//	0  u8   protocol version
//	1  u8   kind
//	2  u16  number of envelopes
//	4  u32  length of the packet, these eight bytes included
//	8       the envelopes, one after another
type Packet struct {
	buffer [MaxPacket]byte
	ends   [MaxConns]uint16 // where in buffer envelope i ends
	fds    [MaxConns]int
	count  int
	names  names
}

// Reset empties the packet and closes nothing: every descriptor in it was taken,
// or is given back to the one who added it.
func (p *Packet) Reset() { p.count = 0 }

// Len returns the number of connections.
func (p *Packet) Len() int { return p.count }

// Add appends a connection and takes ownership of fd, or returns false and
// changes nothing: the packet is full. An empty one is not full for a State of
// up to MaxState bytes. Names of listeners come from a configuration, which
// bounds them: Add panics when one is longer than MaxName.
func (p *Packet) Add(e *Envelope, fd int) bool {
	if len(e.Listener) > MaxName {
		panic(fmt.Sprintf("ipc: a listener's name of %d bytes, at most %d", len(e.Listener), MaxName))
	}
	b, ok := p.grow(e.size(), fd)
	if ok {
		e.put(b)
	}
	return ok
}

// AddRaw appends a connection whose envelope is encoded already, as another
// packet's Raw returned it, and takes ownership of fd; or it returns false and
// changes nothing.
func (p *Packet) AddRaw(envelope []byte, fd int) bool {
	if len(envelope) < EnvelopeSize || int(binary.LittleEndian.Uint32(envelope)) != len(envelope) {
		panic("ipc: AddRaw of what is no envelope")
	}
	b, ok := p.grow(len(envelope), fd)
	if ok {
		copy(b, envelope)
	}
	return ok
}

func (p *Packet) grow(size, fd int) ([]byte, bool) {
	start := p.start(p.count)
	if p.count == MaxConns || start+size > MaxPacket {
		return nil, false
	}
	p.ends[p.count] = uint16(start + size)
	p.fds[p.count] = fd
	p.count++
	return p.buffer[start : start+size], true
}

func (p *Packet) start(i int) int {
	if i == 0 {
		return headerSize
	}
	return int(p.ends[i-1])
}

// Raw returns the encoded envelope of connection i. It aliases the packet.
func (p *Packet) Raw(i int) []byte { return p.buffer[p.start(i):p.ends[i]] }

// ID returns the ConnID of connection i.
func (p *Packet) ID(i int) uint64 { return binary.LittleEndian.Uint64(p.Raw(i)[8:]) }

// Frozen reports whether connection i is a moved one, with frozen state.
func (p *Packet) Frozen(i int) bool {
	raw := p.Raw(i)
	return len(raw) > EnvelopeSize+int(raw[4])
}

// FD returns the descriptor of connection i, borrowed, or -1 once it was taken.
func (p *Packet) FD(i int) int { return p.fds[i] }

// Take returns the descriptor of connection i, owned by the caller from now on.
func (p *Packet) Take(i int) int {
	fd := p.fds[i]
	p.fds[i] = -1
	return fd
}

// Decode reads the envelope of connection i into e. e.State aliases the packet.
// An error wraps ErrMalformed.
func (p *Packet) Decode(i int, e *Envelope) error { return e.decode(p.Raw(i), &p.names) }

// Close closes every descriptor that was not taken, and empties the packet.
func (p *Packet) Close() {
	fdpass.CloseAll(p.fds[:p.count])
	p.count = 0
}

// encode finishes the header and returns the packet's bytes.
func (p *Packet) encode() []byte {
	length := p.start(p.count)
	p.buffer[0] = Version
	p.buffer[1] = byte(KindConns)
	binary.LittleEndian.PutUint16(p.buffer[2:], uint16(p.count))
	binary.LittleEndian.PutUint32(p.buffer[4:], uint32(length))
	return p.buffer[:length]
}

// index finds the count envelopes of a packet of n bytes in the buffer, whose
// header announced has judged. Only lengths matter here: a router passes on
// what it need not understand.
func (p *Packet) index(n, count int) error {
	at := headerSize
	for i := range count {
		if n-at < EnvelopeSize {
			return fmt.Errorf("%w: envelope %d of %d is cut short", ErrMalformed, i, count)
		}
		size := binary.LittleEndian.Uint32(p.buffer[at:])
		if size < EnvelopeSize || int64(size) > int64(n-at) {
			return fmt.Errorf("%w: envelope %d of %d has length %d", ErrMalformed, i, count, size)
		}
		at += int(size)
		p.ends[i] = uint16(at)
	}
	if at != n {
		return fmt.Errorf("%w: %d bytes after the last envelope", ErrMalformed, n-at)
	}
	p.count = count
	return nil
}

// announced judges the header of a whole packet, and returns how many envelopes
// it announces: as many descriptors belong to it.
func announced(packet []byte) (int, error) {
	if len(packet) < headerSize {
		return 0, fmt.Errorf("%w: %d bytes", ErrMalformed, len(packet))
	}
	if packet[0] != Version {
		return 0, fmt.Errorf("%w: protocol version %d, want %d", ErrMalformed, packet[0], Version)
	}
	if Kind(packet[1]) != KindConns {
		return 0, fmt.Errorf("%w: kind %d", ErrMalformed, packet[1])
	}
	count := int(binary.LittleEndian.Uint16(packet[2:]))
	if count == 0 || count > MaxConns {
		return 0, fmt.Errorf("%w: %d envelopes, want 1 to %d", ErrMalformed, count, MaxConns)
	}
	if length := binary.LittleEndian.Uint32(packet[4:]); int64(length) != int64(len(packet)) {
		return 0, fmt.Errorf("%w: length %d in %d bytes", ErrMalformed, length, len(packet))
	}
	return count, nil
}
