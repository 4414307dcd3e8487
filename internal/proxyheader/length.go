package proxyheader

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// MaxV1 is how long a line of version 1 may be, with its CRLF (section 2.1).
	MaxV1 = 107
	// MaxV2 is how long a header of version 2 may be here, in all. The specification
	// allows 65,551 bytes; a client certificate among the TLVs takes 2,000.
	MaxV2 = 4 << 10

	prefixV1 = "PROXY "
	prefixV2 = "\r\n\r\n\x00\r\nQUIT\n"
	fixedV2  = 16 // the signature, version and command, family and protocol, length
)

// What is wrong with a header. Only Length and Parse return them.
var (
	errNone = errors.New("proxyheader: the first bytes are no PROXY header: have the proxy send one, or take proxy=on from the listener's address")
	errLine = fmt.Errorf("proxyheader: version 1: no CRLF within %d bytes", MaxV1)
	errLF   = errors.New("proxyheader: version 1: the line ends without CR")
)

// Length returns how long the header is that b begins with: 0 as long as that is not
// whole, so more is to be read. An error means that none will be, whatever follows: it
// comes with the first byte that cannot be in the signature of either version, and when
// the header is longer than MaxV1 or MaxV2. What follows the header does not matter; the
// answer is the same however its bytes come.
func Length(b []byte) (int, error) {
	switch {
	case begins(b, prefixV1):
		return lengthV1(b)
	case begins(b, prefixV2):
		return lengthV2(b)
	}
	return 0, errNone
}

// begins reports whether b begins with prefix, or is the beginning of it.
func begins(b []byte, prefix string) bool {
	n := min(len(b), len(prefix))
	return string(b[:n]) == prefix[:n]
}

func lengthV1(b []byte) (int, error) {
	end := bytes.IndexByte(b[:min(len(b), MaxV1)], '\n')
	switch {
	case end < 0 && len(b) >= MaxV1:
		return 0, errLine
	case end < 0:
		return 0, nil
	case b[end-1] != '\r':
		return 0, errLF
	}
	return end + 1, nil
}

func lengthV2(b []byte) (int, error) {
	if len(b) > len(prefixV2) {
		if version := b[len(prefixV2)] >> 4; version != 2 {
			return 0, fmt.Errorf("proxyheader: version %d is unknown: have the proxy send 1 or 2", version)
		}
	}
	if len(b) < fixedV2 {
		return 0, nil
	}
	n := fixedV2 + int(binary.BigEndian.Uint16(b[fixedV2-2:]))
	switch {
	case n > MaxV2:
		return 0, fmt.Errorf("proxyheader: version 2: %d bytes are more than %d: have the proxy send fewer TLVs", n, MaxV2)
	case n > len(b):
		return 0, nil
	}
	return n, nil
}
