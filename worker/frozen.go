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
type frozen struct {
	flags        frozenFlags
	idleMS       uint32
	quiet        time.Duration // since the last progress
	read, write  time.Duration // to the deadlines; frozenNever: none
	at           time.Duration // when it was frozen, on CLOCK_MONOTONIC
	version      string        // of the application's state: WithStateVersion
	in, out      []byte
	sessionState []byte
}

// frozenFlags are numbers on the wire, unlike state.
type frozenFlags uint16

const (
	frozenEOF     frozenFlags = 1 << iota // the peer's end was delivered
	frozenShut                            // CloseWrite was called
	frozenShutFIN                         // and FIN sent
	frozenPaused
	frozenChoked
	frozenLow     // Low is due
	frozenReplay  // Data is due for the input left
	frozenOwnIdle // the idle timeout is its own; else it is the worker's, whatever that is
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
		flags |= frozenShut
	case finSent:
		flags |= frozenShut | frozenShutFIN
	}
	return flags
}

// thaw makes of s what flags stand for, as far as they say anything.
func (s *state) thaw(flags frozenFlags) {
	for _, pair := range frozenStates {
		*s &^= pair.fact
		if flags&pair.flag != 0 {
			*s |= pair.fact
		}
	}
	switch {
	case flags&frozenShutFIN != 0:
		s.setFin(finSent)
	case flags&frozenShut != 0:
		s.setFin(finDue)
	default:
		s.setFin(finNone)
	}
}

const (
	frozenVersion = 1
	frozenHeader  = 48
	frozenNever   = never
	// maxStateVersion is the longest version of an application's state, in bytes.
	maxStateVersion = 255
)

var errFrozen = errors.New("malformed frozen connection")

// size is how many bytes append adds.
func (f *frozen) size() int {
	return frozenHeader + len(f.version) + len(f.in) + len(f.out) + len(f.sessionState)
}

// append encodes f behind b.
func (f *frozen) append(b []byte) []byte {
	b = append(b, frozenVersion, byte(len(f.version)))
	b = binary.LittleEndian.AppendUint16(b, uint16(f.flags))
	b = binary.LittleEndian.AppendUint32(b, f.idleMS)
	for _, d := range [...]time.Duration{f.quiet, f.read, f.write} {
		b = binary.LittleEndian.AppendUint64(b, uint64(d))
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.in)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.out)))
	b = binary.LittleEndian.AppendUint64(b, uint64(f.at))
	b = append(b, f.version...)
	b = append(b, f.in...)
	b = append(b, f.out...)
	return append(b, f.sessionState...)
}

// decode reads f from b, whose bytes its slices alias.
func (f *frozen) decode(b []byte) error {
	if len(b) < frozenHeader {
		return fmt.Errorf("%w: %d bytes", errFrozen, len(b))
	}
	if b[0] != frozenVersion {
		return fmt.Errorf("%w: format %d, this program reads %d", errFrozen, b[0], frozenVersion)
	}
	f.flags = frozenFlags(binary.LittleEndian.Uint16(b[2:]))
	f.idleMS = binary.LittleEndian.Uint32(b[4:])
	f.quiet = time.Duration(binary.LittleEndian.Uint64(b[8:]))
	f.read = time.Duration(binary.LittleEndian.Uint64(b[16:]))
	f.write = time.Duration(binary.LittleEndian.Uint64(b[24:]))
	version, in, out := int64(b[1]), int64(binary.LittleEndian.Uint32(b[32:])), int64(binary.LittleEndian.Uint32(b[36:]))
	f.at = time.Duration(binary.LittleEndian.Uint64(b[40:]))
	rest := b[frozenHeader:]
	if version+in+out > int64(len(rest)) {
		return fmt.Errorf("%w: %d bytes announced in %d", errFrozen, version+in+out, len(rest))
	}
	f.version, rest = string(rest[:version]), rest[version:]
	f.in, rest = rest[:in], rest[in:]
	f.out, f.sessionState = rest[:out], rest[out:]
	return nil
}
