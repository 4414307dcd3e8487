package proxyheader

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

// Where in a header of version 2 what is.
const (
	commandAt = 12
	familyAt  = 13
	tlvHead   = 3 // bytes of a TLV before its value: the type, and two of length
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errLength   = errors.New("proxyheader: more or less than one header")
	errChecksum = errors.New("proxyheader: version 2: the checksum is wrong")
)

// Parse parses a header that Length has found, and keeps nothing of it. An error means
// that the connection is to be closed.
func Parse(header []byte) (Header, error) {
	if n, err := Length(header); err != nil {
		return Header{}, err
	} else if n == 0 || n != len(header) {
		return Header{}, errLength
	}
	parsed, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(ignoring(header)), len(header)))
	if err != nil {
		return Header{}, fmt.Errorf("proxyheader: %w", err)
	}
	h := Header{Version: int(parsed.Version), Local: true}
	if h.Version == 2 && header[commandAt] == byte(proxyproto.LOCAL) {
		return h, nil
	}
	if err := h.keepTLVs(parsed, header); err != nil {
		return Header{}, err
	}
	source, hasSource := addrPort(parsed.SourceAddr)
	destination, hasDestination := addrPort(parsed.DestinationAddr)
	if hasSource && hasDestination {
		h.Local, h.Source, h.Destination = false, source, destination
	}
	return h, nil
}

// ignoring returns the header as the library is to see it. That reads the block of a LOCAL
// header, which is to be ignored, and refuses UNSPEC, which may be taken: without addresses
// the two are one. The header itself does not change.
func ignoring(header []byte) []byte {
	if string(header[:len(prefixV1)]) == prefixV1 {
		return header
	}
	local := header[commandAt] == byte(proxyproto.LOCAL)
	unspec := header[commandAt] == byte(proxyproto.PROXY) && header[familyAt] == byte(proxyproto.UNSPEC)
	if !local && !unspec {
		return header
	}
	header = bytes.Clone(header)
	header[commandAt], header[familyAt] = byte(proxyproto.LOCAL), byte(proxyproto.UNSPEC)
	return header
}

// keepTLVs takes over the TLVs, and verifies the checksum if there is one.
func (h *Header) keepTLVs(parsed *proxyproto.Header, header []byte) error {
	if h.Version == 1 {
		return nil
	}
	tlvs, err := parsed.TLVs() // copies, all within the header
	if err != nil {
		return fmt.Errorf("proxyheader: version 2: %w", err)
	}
	checked := false
	at := fixedV2 + addressesV2(parsed.TransportProtocol)
	for _, tlv := range tlvs {
		value := at + tlvHead
		at = value + int(binary.BigEndian.Uint16(header[value-2:]))
		switch tlv.Type {
		case proxyproto.PP2_TYPE_NOOP:
			continue
		case proxyproto.PP2_TYPE_CRC32C:
			if checked || !sumsUp(header, value, at) {
				return errChecksum
			}
			checked = true
		}
		h.TLVs = append(h.TLVs, TLV{byte(tlv.Type), tlv.Value})
	}
	return nil
}

// addressesV2 returns how many bytes the addresses of a family take (section 2.2).
func addressesV2(family proxyproto.AddressFamilyAndProtocol) int {
	switch {
	case family.IsIPv4():
		return 12
	case family.IsIPv6():
		return 36
	case family.IsUnix():
		return 216
	}
	return 0
}

// sumsUp reports whether header[from:to] is the checksum of the header, taken with zeros
// in its place (section 2.2.3).
func sumsUp(header []byte, from, to int) bool {
	if to-from != crc32.Size {
		return false
	}
	sum := crc32.Update(0, castagnoli, header[:from])
	sum = crc32.Update(sum, castagnoli, make([]byte, crc32.Size))
	sum = crc32.Update(sum, castagnoli, header[to:])
	return sum == binary.BigEndian.Uint32(header[from:])
}

// addrPort returns the address and port of a, if it has them.
func addrPort(a net.Addr) (netip.AddrPort, bool) {
	var addr netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		addr = a.AddrPort()
	case *net.UDPAddr:
		addr = a.AddrPort()
	}
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), addr.IsValid()
}
