package tlsrecord

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// What Freeze writes (all numbers little-endian):
//
//	 0  u8   version of this format
//	 1  u8   role
//	 2  u16  cipher suite, which tells the version of TLS
//	 4  u8   1: close_notify has come
//	 5  u8   1: close_notify is sealed
//	 6  u8   fault
//	 7  u8   alert, of the faults that are alerts
//	 8  u8   KeyUpdate owed
//	 9  u8   how much without data has come
//	10  u8   how much is here of a handshake message's header
//	11       the header, 4 bytes
//	15  u64  number of the next record to be read, and of the next to be written
//	31  u64  blocks that the key for reading has protected, and that for writing
//	47       the key material for reading, and for writing: both as long as the suite has it
//
// It is secret. What the layer has not opened, and what it has sealed, is the caller's.
const (
	frozenVersion = 1
	frozenHeader  = 47
)

// Freeze appends to dst all that another process needs to go on, in its own secret
// format, and returns dst. It changes nothing: the layer may go on here, but only one of
// the two may. Of a layer that was wiped nothing is left: Thaw refuses the state.
func (l *Layer) Freeze(dst []byte) []byte {
	s := &suites[l.suite]
	dst = slices.Grow(dst, frozenHeader+2*s.kept) // at once: what append grows leaves copies
	dst = append(dst, frozenVersion, byte(l.role))
	dst = binary.LittleEndian.AppendUint16(dst, s.id)
	dst = append(dst, oneIf(l.peerDone), oneIf(l.selfDone), byte(l.fault), l.alert, byte(l.owed), l.idle, l.message.have)
	dst = append(dst, l.message.header[:]...)
	for _, n := range []uint64{l.read.seq, l.write.seq, l.read.blocks, l.write.blocks} {
		dst = binary.LittleEndian.AppendUint64(dst, n)
	}
	for _, h := range []*half{&l.read, &l.write} {
		kept := h.secret.reveal(s.kept)
		dst = append(dst, kept...)
		clear(kept)
	}
	return dst
}

func oneIf(b bool) byte {
	if b {
		return 1
	}
	return 0
}

var (
	errFrozenVersion = errors.New("the state is of another version")
	errFrozenLength  = errors.New("the state is not as long as its suite has it")
	errFrozenState   = errors.New("the state is one that no layer can have")
)

// Thaw returns the layer that Freeze has written, with no cache. The state is the
// caller's, who should overwrite it. The error is of a state that is of another version,
// is not whole, or that no layer can be in; but not each state without an error is one
// that Freeze has written: that there is nobody between is the caller's to know.
func Thaw(state []byte) (*Layer, error) {
	l, err := thaw(state)
	if err != nil {
		return nil, fmt.Errorf("tlsrecord: thaw: %w", err)
	}
	return l, nil
}

func thaw(b []byte) (*Layer, error) {
	switch {
	case len(b) == 0 || b[0] != frozenVersion:
		return nil, errFrozenVersion
	case len(b) < frozenHeader:
		return nil, errFrozenLength
	}
	at, err := suiteOf(binary.LittleEndian.Uint16(b[2:]))
	if err != nil {
		return nil, err
	}
	s := &suites[at]
	if len(b) != frozenHeader+2*s.kept {
		return nil, errFrozenLength
	}
	l := &Layer{
		role: Role(b[1]), suite: uint8(at),
		peerDone: b[4] == 1, selfDone: b[5] == 1,
		fault: fault(b[6]), alert: b[7], owed: owed(b[8]), idle: b[9],
		message: message{have: b[10], header: [4]byte(b[11:])},
	}
	l.read.seq, l.write.seq = binary.LittleEndian.Uint64(b[15:]), binary.LittleEndian.Uint64(b[23:])
	l.read.blocks, l.write.blocks = binary.LittleEndian.Uint64(b[31:]), binary.LittleEndian.Uint64(b[39:])
	if b[4] > 1 || b[5] > 1 || !l.possible() {
		return nil, errFrozenState
	}
	l.read.secret.put(b[frozenHeader : frozenHeader+s.kept])
	l.write.secret.put(b[frozenHeader+s.kept:])
	return l, nil
}

// possible says whether a layer can be in the state that l is in.
func (l *Layer) possible() bool {
	s := &suites[l.suite]
	switch {
	case l.role != Server && l.role != Client:
	case l.fault >= numFaults || l.fault == faultWiped:
	case !l.fault.alerted() && l.alert != 0:
	case l.owed > owedAsk || l.owed != owedNone && !s.tls13:
	case l.idle > maxIdle && l.fault != faultIdle || l.idle > maxIdle+1:
	case l.message.have > uint8(len(l.message.header)):
	default:
		return l.fault != faultNone || l.message.possible(l)
	}
	return false
}

// possible says whether so much of a message can have come to l, which has not failed:
// what its header does not have yet is zero, and it is not whole.
func (m *message) possible(l *Layer) bool {
	if m.have == 0 {
		return m.header == [4]byte{}
	}
	for _, b := range m.header[m.have:] {
		if b != 0 {
			return false
		}
	}
	_, most, f := l.lengths(m.header[0])
	return f == faultNone && (m.have < 4 || 0 < m.left() && m.left() <= most)
}
