package worker

import (
	"encoding/binary"
	"errors"

	"github.com/usher-go/usher/internal/proxyheader"
)

// Proxy returns what the connection's PROXY header said; false if it had none. It moves
// along with the connection, and nothing in it is to be changed. It is for any goroutine.
func (c *Conn) Proxy() (Proxy, bool) {
	if c.origin.proxy == nil {
		return Proxy{}, false
	}
	return *c.origin.proxy, true
}

// newProxy returns what there is to tell of a header.
func newProxy(h *proxyheader.Header) *Proxy {
	p := &Proxy{Version: h.Version, Local: h.Local, Source: h.Source, Destination: h.Destination}
	for _, tlv := range h.TLVs {
		p.TLVs = append(p.TLVs, ProxyTLV{tlv.Type, tlv.Value})
	}
	return p
}

// useProxy has c be for whom p says.
func (c *Conn) useProxy(p *Proxy) {
	o := *c.origin
	o.proxy = p
	if !p.Local {
		at := *o.place
		at.local = p.Destination
		o.place = &at
		c.remote, c.port = p.Source.Addr(), p.Source.Port()
	}
	c.origin = &o
}

// On the way to another worker (all numbers little-endian; addresses are the envelope's):
//
//	0  u8   version of the header
//	1  u8   1: Local
//	2       for each TLV: u8 type, u16 length, value
const proxyFixed = 2

var errProxyState = errors.New("malformed facts of a PROXY header")

// append encodes p behind b; nil as nothing.
func (p *Proxy) append(b []byte) []byte {
	if p == nil {
		return b
	}
	local := byte(0)
	if p.Local {
		local = 1
	}
	b = append(b, byte(p.Version), local)
	for _, tlv := range p.TLVs {
		b = append(b, tlv.Type)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(tlv.Value)))
		b = append(b, tlv.Value...)
	}
	return b
}

// decodeProxy reads what append has written, all of b; nil of nothing. It keeps nothing of
// b.
func decodeProxy(b []byte) (*Proxy, error) {
	switch {
	case len(b) == 0:
		return nil, nil
	case len(b) < proxyFixed || b[0] < 1 || b[0] > 2 || b[1] > 1:
		return nil, errProxyState
	}
	p := &Proxy{Version: int(b[0]), Local: b[1] == 1}
	for b = b[proxyFixed:]; len(b) > 0; {
		if len(b) < 3 {
			return nil, errProxyState
		}
		end := 3 + int(binary.LittleEndian.Uint16(b[1:]))
		if len(b) < end {
			return nil, errProxyState
		}
		p.TLVs = append(p.TLVs, ProxyTLV{b[0], append([]byte(nil), b[3:end]...)})
		b = b[end:]
	}
	return p, nil
}
