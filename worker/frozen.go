package worker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// frozen is a live connection at rest, as it travels in an envelope's State
// from one worker to another. The master does not look inside.
//
// On the wire (all numbers little-endian):
//
//	 0  u8   version of this format
//	 1  u8   length of the application's version
//	 2  u16  flags
//	 4  u32  idle timeout in milliseconds; 0: none
//	 8  i64  nanoseconds since the last progress
//	16  i64  nanoseconds to the read deadline; frozenNever: none
//	24  i64  nanoseconds to the write deadline; frozenNever: none
//	32  u32  length of the unconsumed input
//	36  u32  length of the pending output
//	40  i64  when it was frozen, on CLOCK_MONOTONIC
//	48       the application's version, the input, the output, and the
//	         session's own state to the end
//
// That is version 1, of a plain connection. One with a transport has version 2: the
// input and the output are followed by what the transport has not decoded yet and by
// its own state, with the lengths of these two in front of the application's version:
//
//	48  u32  length of the raw input
//	52  u32  length of the transport's state
//	56       the application's version, the input, the output, the raw input, the
//	         transport's state, and the session's own to the end
//
// What the transport's state is of says frozenpassage.go. The output is what is to be sent
// as it is: of a connection with a transport, encoded.
type frozen struct {
	wrapped      bool // it has a transport, though that may have no state
	flags        frozenFlags
	idleMS       uint32
	quiet        time.Duration // since the last progress
	read, write  time.Duration // to the deadlines; frozenNever: none
	at           time.Duration // when it was frozen, on CLOCK_MONOTONIC
	version      string        // of the application's state: WithStateVersion
	in, out      []byte
	raw          []byte // what the transport has not decoded yet
	transport    []byte // its state
	sessionState []byte
}

const (
	frozenPlain         = 1 // the version of a plain connection's format
	frozenWrapped       = 2 // that of one with a transport
	frozenHeader        = 48
	frozenWrappedHeader = frozenHeader + 8
	frozenNever         = never
	// maxStateVersion is the longest version of an application's state, in bytes.
	maxStateVersion = 255
)

var errFrozen = errors.New("malformed frozen connection")

// frozenFlags are numbers on the wire, unlike state.
type frozenFlags uint16

const (
	frozenEOF     frozenFlags = 1 << iota // the peer's end was delivered
	frozenFINDue                          // CloseWrite was called
	frozenFINSent                         // FIN was sent, too
	frozenPaused
	frozenChoked
	frozenLow     // Low is due
	frozenReplay  // Data is due for the input left
	frozenOwnIdle // the idle timeout is its own; else it is the worker's, whatever that is
	frozenEnd     // the end of the input is due: by the transport's word, or told before to a session that was busy
)

// frozenStates pairs each flag with the fact that it stands for, those of FIN aside.
var frozenStates = [...]struct {
	flag frozenFlags
	fact state
}{
	{frozenEOF, state(holdEOF)},
	{frozenPaused, state(holdPaused)},
	{frozenChoked, state(holdChoked)},
	{frozenLow, state(dueLow)},
	{frozenReplay, state(dueReplay)},
	{frozenOwnIdle, state(traitOwnIdle)},
	{frozenEnd, state(dueEnd)},
}

// freeze returns the flags that stand for s.
func (s state) freeze() (flags frozenFlags) {
	for _, pair := range frozenStates {
		if s&pair.fact != 0 {
			flags |= pair.flag
		}
	}
	switch s.fin() {
	case finDue:
		flags |= frozenFINDue
	case finSent:
		flags |= frozenFINDue | frozenFINSent
	}
	return flags
}

// thaw makes those parts of s that flags stand for what they were; the others stay.
func (s *state) thaw(flags frozenFlags) {
	for _, pair := range frozenStates {
		*s &^= pair.fact
		if flags&pair.flag != 0 {
			*s |= pair.fact
		}
	}
	switch {
	case flags&frozenFINSent != 0:
		s.setFin(finSent)
	case flags&frozenFINDue != 0:
		s.setFin(finDue)
	default:
		s.setFin(finNone)
	}
}

// size is how many bytes append adds.
func (f *frozen) size() int {
	n := frozenHeader + len(f.version) + len(f.in) + len(f.out) + len(f.sessionState)
	if f.wrapped {
		n += frozenWrappedHeader - frozenHeader + len(f.raw) + len(f.transport)
	}
	return n
}

// append encodes f behind b.
func (f *frozen) append(b []byte) []byte {
	format := byte(frozenPlain)
	if f.wrapped {
		format = frozenWrapped
	}
	b = append(b, format, byte(len(f.version)))
	b = binary.LittleEndian.AppendUint16(b, uint16(f.flags))
	b = binary.LittleEndian.AppendUint32(b, f.idleMS)
	for _, d := range [...]time.Duration{f.quiet, f.read, f.write} {
		b = binary.LittleEndian.AppendUint64(b, uint64(d))
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.in)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.out)))
	b = binary.LittleEndian.AppendUint64(b, uint64(f.at))
	if f.wrapped {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(f.raw)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(f.transport)))
	}
	b = append(b, f.version...)
	b = append(b, f.in...)
	b = append(b, f.out...)
	if f.wrapped {
		b = append(b, f.raw...)
		b = append(b, f.transport...)
	}
	return append(b, f.sessionState...)
}

// decode reads f from b, whose bytes its slices alias.
func (f *frozen) decode(b []byte) error {
	if len(b) < frozenHeader {
		return fmt.Errorf("%w: %d bytes", errFrozen, len(b))
	}
	header := frozenHeader
	switch b[0] {
	case frozenPlain:
	case frozenWrapped:
		f.wrapped, header = true, frozenWrappedHeader
		if len(b) < header {
			return fmt.Errorf("%w: %d bytes", errFrozen, len(b))
		}
	default:
		return fmt.Errorf("%w: format %d, this program reads up to %d", errFrozen, b[0], frozenWrapped)
	}
	f.flags = frozenFlags(binary.LittleEndian.Uint16(b[2:]))
	f.idleMS = binary.LittleEndian.Uint32(b[4:])
	f.quiet = time.Duration(binary.LittleEndian.Uint64(b[8:]))
	f.read = time.Duration(binary.LittleEndian.Uint64(b[16:]))
	f.write = time.Duration(binary.LittleEndian.Uint64(b[24:]))
	version, in, out := int64(b[1]), int64(binary.LittleEndian.Uint32(b[32:])), int64(binary.LittleEndian.Uint32(b[36:]))
	f.at = time.Duration(binary.LittleEndian.Uint64(b[40:]))
	raw, transport := int64(0), int64(0)
	if f.wrapped {
		raw, transport = int64(binary.LittleEndian.Uint32(b[48:])), int64(binary.LittleEndian.Uint32(b[52:]))
	}
	if raw > maxUnit {
		return fmt.Errorf("%w: %d bytes not decoded, at most %d", errFrozen, raw, maxUnit)
	}
	rest := b[header:]
	if announced := version + in + out + raw + transport; announced > int64(len(rest)) {
		return fmt.Errorf("%w: %d bytes announced in %d", errFrozen, announced, len(rest))
	}
	f.version, rest = string(rest[:version]), rest[version:]
	f.in, rest = rest[:in], rest[in:]
	f.out, rest = rest[:out], rest[out:]
	f.raw, rest = rest[:raw], rest[raw:]
	f.transport, f.sessionState = rest[:transport], rest[transport:]
	return nil
}
