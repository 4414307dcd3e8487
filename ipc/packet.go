package ipc

import (
	"encoding/binary"
	"fmt"
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

// The kinds of a packet.
const (
	// KindConns is connections: envelopes, and a descriptor for each in the same order.
	KindConns Kind = 1
	// KindLarge is one moved connection whose frozen state is too long for a
	// packet: one envelope without state, and exactly two descriptors, the
	// connection's and a memfd with the state (see SealState). A worker that
	// says that it moves connections takes both kinds.
	KindLarge Kind = 2
)

// Packet is a batch of connections: being put together, or received. It owns
// the descriptors in it. The zero value is empty and ready to use; it is large,
// is meant to be used again and again, and is for one goroutine at a time.
//
// On the wire (all numbers little-endian):
//
//	0  u8   protocol version
//	1  u8   kind: 1 connections, 2 one connection and the memfd of its state
//	2  u16  number of envelopes
//	4  u32  length of the packet, these eight bytes included
//	8       the envelopes, one after another
type Packet struct {
	buffer [MaxPacket]byte
	ends   [MaxConns]uint16 // where in buffer envelope i ends
	fds    [MaxConns]int
	count  int
	large  bool // one connection; fds[1] is the memfd of its state
	names  names
}

// Reset empties the packet and closes nothing: every descriptor in it was taken,
// or is given back to the one who added it. Frozen states, in which keys of TLS may be,
// are overwritten.
func (p *Packet) Reset() {
	for i := range p.count {
		if p.Frozen(i) {
			clear(p.buffer[:p.ends[p.count-1]])
			break
		}
	}
	p.count, p.large = 0, false
}

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

// AddLarge adds a connection whose state is in a memfd, and takes ownership of
// both descriptors; or it returns false and changes nothing: the packet is not
// empty. e.State must be empty.
func (p *Packet) AddLarge(e *Envelope, fd, state int) bool {
	if len(e.State) > 0 {
		panic("ipc: AddLarge with a state in the envelope")
	}
	if p.count > 0 || !p.Add(e, fd) {
		return false
	}
	p.large, p.fds[1] = true, state
	return true
}

// AddFrom appends connection i of another packet as it is, whatever belongs to
// it; or it returns false and changes nothing: this one is full. The descriptors
// are those of the other: if this packet is sent, Forget them there, and if not,
// Reset this one.
func (p *Packet) AddFrom(from *Packet, i int) bool {
	if p.large || from.large && p.count > 0 {
		return false
	}
	b, ok := p.grow(len(from.Raw(i)), from.fds[i])
	if !ok {
		return false
	}
	copy(b, from.Raw(i))
	if from.large {
		p.large, p.fds[1] = true, from.fds[1]
	}
	return true
}

func (p *Packet) grow(size, fd int) ([]byte, bool) {
	start := p.start(p.count)
	if p.large || p.count == MaxConns || start+size > MaxPacket {
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
	return p.large || len(raw) > EnvelopeSize+int(raw[4])
}

// Large reports whether this is one connection whose state is in a memfd.
func (p *Packet) Large() bool { return p.large }

// FD returns the descriptor of connection i, borrowed, or -1 once it was taken.
func (p *Packet) FD(i int) int { return p.fds[i] }

// Take returns the descriptor of connection i, owned by the caller from now on.
func (p *Packet) Take(i int) int {
	fd := p.fds[i]
	p.fds[i] = -1
	return fd
}

// StateFD returns the memfd of a large packet, borrowed, or -1 if there is none or
// it was taken.
func (p *Packet) StateFD() int {
	if !p.large {
		return -1
	}
	return p.fds[1]
}

// TakeState returns the memfd of a large packet, owned by the caller from now
// on, or -1 if there is none or it was taken.
func (p *Packet) TakeState() int {
	fd := p.StateFD()
	if p.large {
		p.fds[1] = -1
	}
	return fd
}

// Forget has the packet no longer own what belongs to connection i: a send of
// another packet has closed it.
func (p *Packet) Forget(i int) {
	p.Take(i)
	p.TakeState()
}

// Drop closes what belongs to connection i, as Close does.
func (p *Packet) Drop(i int) {
	closeConns([]int{p.Take(i), p.TakeState()})
}

// Decode reads the envelope of connection i into e. e.State aliases the packet.
// An error wraps ErrMalformed; a packet that was received has none.
func (p *Packet) Decode(i int, e *Envelope) error { return e.decode(p.Raw(i), &p.names) }

// Close closes every descriptor that was not taken, and empties the packet. It
// does not wait for a socket that has SO_LINGER; files that may block in close(2)
// do not belong into a packet.
func (p *Packet) Close() {
	closeConns(p.Descriptors())
	p.Reset()
}

// Descriptors returns all that belong to the packet, borrowed until it changes;
// those taken are -1. Whoever closes them calls Reset.
func (p *Packet) Descriptors() []int {
	if p.large {
		return p.fds[:2]
	}
	return p.fds[:p.count]
}

// encode finishes the header and returns the packet's bytes.
func (p *Packet) encode() []byte {
	length := p.start(p.count)
	p.buffer[0] = Version
	p.buffer[1] = byte(KindConns)
	if p.large {
		p.buffer[1] = byte(KindLarge)
	}
	binary.LittleEndian.PutUint16(p.buffer[2:], uint16(p.count))
	binary.LittleEndian.PutUint32(p.buffer[4:], uint32(length))
	return p.buffer[:length]
}

// index finds the envelopes of a packet of n bytes in the buffer, whose header
// announced has checked. It checks each envelope as well: a master passes moved
// connections on without decoding them, and their new worker must not suffer for what
// another worker has sent.
func (p *Packet) index(n int) error {
	count := int(binary.LittleEndian.Uint16(p.buffer[2:]))
	large := Kind(p.buffer[1]) == KindLarge
	at := headerSize
	for i := range count {
		if n-at < EnvelopeSize {
			return fmt.Errorf("%w: envelope %d of %d is cut short", ErrMalformed, i, count)
		}
		size := binary.LittleEndian.Uint32(p.buffer[at:])
		if size < EnvelopeSize || int64(size) > int64(n-at) {
			return fmt.Errorf("%w: envelope %d of %d has length %d", ErrMalformed, i, count, size)
		}
		envelope := p.buffer[at : at+int(size)]
		if err := checkEnvelope(envelope); err != nil {
			return fmt.Errorf("%w: envelope %d of %d: %w", ErrMalformed, i, count, err)
		}
		if large && len(envelope) > EnvelopeSize+int(envelope[4]) {
			return fmt.Errorf("%w: a state in the envelope and in a memfd", ErrMalformed)
		}
		at += int(size)
		p.ends[i] = uint16(at)
	}
	if at != n {
		return fmt.Errorf("%w: %d bytes after the last envelope", ErrMalformed, n-at)
	}
	p.count, p.large = count, large
	return nil
}

// announced checks the header of a whole packet, and returns how many
// descriptors belong to it.
func announced(packet []byte) (int, error) {
	if len(packet) < headerSize {
		return 0, fmt.Errorf("%w: %d bytes", ErrMalformed, len(packet))
	}
	if packet[0] != Version {
		return 0, fmt.Errorf("%w: protocol version %d, want %d", ErrMalformed, packet[0], Version)
	}
	count := int(binary.LittleEndian.Uint16(packet[2:]))
	descriptors, most := count, MaxConns
	switch Kind(packet[1]) {
	case KindConns:
	case KindLarge:
		descriptors, most = 2, 1
	default:
		return 0, fmt.Errorf("%w: kind %d", ErrMalformed, packet[1])
	}
	if count == 0 || count > most {
		return 0, fmt.Errorf("%w: %d envelopes, want 1 to %d", ErrMalformed, count, most)
	}
	if length := binary.LittleEndian.Uint32(packet[4:]); int64(length) != int64(len(packet)) {
		return 0, fmt.Errorf("%w: length %d in %d bytes", ErrMalformed, length, len(packet))
	}
	return descriptors, nil
}
