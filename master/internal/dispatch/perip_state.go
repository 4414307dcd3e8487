package dispatch

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// In an upgrade the entries of the limiter have a memfd of their own, of records, all
// little-endian:
//
//	 0  u64   ConnID
//	 8  u64   serial of the queue
//	16  u8    bits of the prefix
//	17  u8    4: the prefix is an IPv4 network; 6: an IPv6 one
//	18  [16]  its address
//
// As JSON they were most of the upgrade's state, which both programs and the self-test
// read again and again: that was most of the time for which nothing is accepted.
const perIPEntrySize = 8 + 8 + 1 + 1 + 16

// record describes all entries; nil: there are none.
func (l *perIPLimiter) record() (b []byte) {
	for id, e := range l.entries {
		b = binary.LittleEndian.AppendUint64(b, id)
		b = binary.LittleEndian.AppendUint64(b, e.queue)
		family := byte(6)
		if e.prefix.Addr().Is4() {
			family = 4
		}
		address := e.prefix.Addr().As16()
		b = append(append(b, byte(e.prefix.Bits()), family), address[:]...)
	}
	return b
}

// restore adds all entries of records.
func (l *perIPLimiter) restore(b []byte) error {
	if len(b)%perIPEntrySize != 0 {
		return fmt.Errorf("connections of each address: %d bytes are no records", len(b))
	}
	for ; len(b) > 0; b = b[perIPEntrySize:] {
		address := netip.AddrFrom16([16]byte(b[18:perIPEntrySize]))
		if b[17] == 4 {
			address = address.Unmap()
		}
		prefix := netip.PrefixFrom(address, int(b[16]))
		if !prefix.IsValid() {
			return fmt.Errorf("connections of each address: %v has no network of %d bits", address, b[16])
		}
		l.add(binary.LittleEndian.Uint64(b), perIPEntry{prefix, binary.LittleEndian.Uint64(b[8:])})
	}
	return nil
}

// add counts a connection that was admitted by another program.
func (l *perIPLimiter) add(id uint64, e perIPEntry) {
	if l.on() {
		l.counts[e.prefix]++
		l.entries[id] = e
	}
}

// inherit takes over the entries, in whichever form.
func (l *perIPLimiter) inherit(s *State) error {
	for _, e := range s.PerIPEntries {
		l.add(e.ID, perIPEntry{e.Prefix, e.Queue})
	}
	return l.restore(s.PerIP)
}
