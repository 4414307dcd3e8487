package ipc

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// Envelope is what travels beside one descriptor.
//
// On the wire (all numbers little-endian):
//
//	 0  u32   length of this envelope, these four bytes included
//	 4  u8    length of the listener's name
//	 5  u8    family of the remote address: 4, 6, or 0 for none (a Unix socket)
//	 6  u8    family of the local address, which may be another: ::, dual-stack
//	 7  u8    transport: what the bytes pass, or 0 for none (the plain socket)
//	 8  u64   ConnID
//	16  i64   accepted: nanoseconds of CLOCK_MONOTONIC
//	24  u16   remote port
//	26  u16   local port
//	28  u32   scope of the remote address (sin6_scope_id), or 0
//	32  [16]  remote address, an IPv4 one in the first four bytes
//	48  [16]  local address, likewise
//	64        the listener's name, UTF-8
//	..        frozen state, to the end; empty for a new connection
type Envelope struct {
	// ID is unique for the life of the master, and kept when the connection
	// moves between workers. It is never 0.
	ID uint64
	// Accepted is when the master accepted the connection, by CLOCK_MONOTONIC,
	// which all processes of one machine share.
	Accepted time.Duration
	// Remote is the client's address; an IPv4 client of a dual-stack listener
	// has an IPv4 address here. Invalid for a Unix socket.
	Remote netip.AddrPort
	// Local is the listener's address, which may be unspecified (0.0.0.0, ::):
	// then getsockname(2) tells the connection's own. Its zone, which is the
	// remote one's, is not carried. Invalid for a Unix socket.
	Local netip.AddrPort
	// Listener is the name of the listener, at most MaxName bytes; often empty.
	Listener string
	// Transport is what the connection's bytes pass: the number of one of Hello's
	// Transports, or 0: nothing, they are the program's. It is kept when the connection
	// moves.
	Transport uint8
	// State is the frozen state of a moved connection. After Decode it
	// aliases the packet.
	State []byte
}

// EnvelopeSize is the length of an envelope without name and state.
const EnvelopeSize = 64

// MaxName is the longest name of a listener, in bytes.
const MaxName = 255

// MaxNameInBatch is the longest name of which MaxConns new connections fit into one
// packet: a master takes no longer ones.
const MaxNameInBatch = (MaxPacket-headerSize)/MaxConns - EnvelopeSize

const (
	familyNone = 0
	family4    = 4
	family6    = 6
)

// size returns the encoded length.
func (e *Envelope) size() int { return EnvelopeSize + len(e.Listener) + len(e.State) }

// put encodes e into b, which is size() long and need not be zeroed.
func (e *Envelope) put(b []byte) {
	clear(b[:EnvelopeSize])
	binary.LittleEndian.PutUint32(b[0:], uint32(len(b)))
	b[4] = byte(len(e.Listener))
	b[5] = family(e.Remote.Addr())
	b[6] = family(e.Local.Addr())
	b[7] = e.Transport
	binary.LittleEndian.PutUint64(b[8:], e.ID)
	binary.LittleEndian.PutUint64(b[16:], uint64(e.Accepted))
	binary.LittleEndian.PutUint16(b[24:], e.Remote.Port())
	binary.LittleEndian.PutUint16(b[26:], e.Local.Port())
	binary.LittleEndian.PutUint32(b[28:], scope(e.Remote.Addr()))
	putAddr(b[32:48], e.Remote.Addr())
	putAddr(b[48:64], e.Local.Addr())
	copy(b[EnvelopeSize:], e.Listener)
	copy(b[EnvelopeSize+len(e.Listener):], e.State)
}

func family(addr netip.Addr) byte {
	switch {
	case addr.Is4():
		return family4
	case addr.Is6():
		return family6
	}
	return familyNone
}

func putAddr(b []byte, addr netip.Addr) {
	switch {
	case addr.Is4():
		four := addr.As4()
		copy(b, four[:])
	case addr.Is6():
		sixteen := addr.As16()
		copy(b, sixteen[:])
	}
}

func scope(addr netip.Addr) uint32 {
	if addr.Zone() == "" {
		return 0
	}
	index, err := strconv.ParseUint(addr.Zone(), 10, 32)
	if err != nil {
		return 0 // a zone by name has no place on the wire; the master makes zones from numbers
	}
	return uint32(index)
}

// decode reads one envelope, which is all of b, as Packet has checked. names
// keeps one copy of each listener's name, so that decoding allocates only for
// a name never seen, and for a scope.
func (e *Envelope) decode(b []byte, names *names) error {
	if err := checkEnvelope(b); err != nil {
		return fmt.Errorf("ipc: decode envelope: %w: %w", ErrMalformed, err)
	}
	name := EnvelopeSize + int(b[4])
	remote := getAddr(b[5], b[32:48], binary.LittleEndian.Uint32(b[28:]))
	local := getAddr(b[6], b[48:64], 0)
	e.ID = binary.LittleEndian.Uint64(b[8:])
	e.Accepted = time.Duration(binary.LittleEndian.Uint64(b[16:]))
	e.Remote = addrPort(remote, binary.LittleEndian.Uint16(b[24:]))
	e.Local = addrPort(local, binary.LittleEndian.Uint16(b[26:]))
	e.Listener = names.intern(b[EnvelopeSize:name])
	e.Transport = b[7]
	e.State = b[name:]
	return nil
}

// checkEnvelope says what is wrong in an envelope of at least EnvelopeSize bytes.
func checkEnvelope(b []byte) error {
	if EnvelopeSize+int(b[4]) > len(b) {
		return fmt.Errorf("name of %d bytes in %d", b[4], len(b))
	}
	if !isFamily(b[5]) || !isFamily(b[6]) {
		return fmt.Errorf("address families %d and %d", b[5], b[6])
	}
	return nil
}

func isFamily(b byte) bool { return b == familyNone || b == family4 || b == family6 }

func getAddr(family byte, b []byte, scope uint32) netip.Addr {
	switch family {
	case family4:
		return netip.AddrFrom4([4]byte(b[:4]))
	case family6:
		addr := netip.AddrFrom16([16]byte(b))
		if scope != 0 {
			addr = addr.WithZone(strconv.FormatUint(uint64(scope), 10))
		}
		return addr
	}
	return netip.Addr{}
}

func addrPort(addr netip.Addr, port uint16) netip.AddrPort {
	if !addr.IsValid() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, port)
}

// names interns the names of listeners, of which there are few. A sender that
// invents names without end cannot make it grow without bound.
type names map[string]string

const maxInterned = 1024

func (n *names) intern(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if name, ok := (*n)[string(b)]; ok {
		return name
	}
	if *n == nil || len(*n) >= maxInterned {
		*n = make(names)
	}
	name := string(b)
	(*n)[name] = name
	return name
}
