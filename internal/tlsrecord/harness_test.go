package tlsrecord

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/tls"
	"encoding/binary"
	"slices"
	"testing"
)

// secretOf is key material for a test, of n bytes.
func secretOf(name byte, n int) []byte {
	return bytes.Repeat([]byte{name, 0xa5, 0x5a ^ name}, n/3+1)[:n]
}

// layerOf returns an end of a connection of any suite, all of which have the same secrets.
func layerOf(t testing.TB, role Role, id uint16, readSeq, writeSeq uint64) *Layer {
	t.Helper()
	at, err := suiteOf(id)
	if err != nil {
		t.Fatal(err)
	}
	var l *Layer
	if s := &suites[at]; s.tls13 {
		l, err = NewTLS13(role, id, secretOf('c', s.kept), secretOf('s', s.kept), readSeq, writeSeq)
	} else {
		l, err = NewTLS12(role, id, secretOf('m', 48), [32]byte{1}, [32]byte{2}, readSeq, writeSeq)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// pair returns both ends of a connection.
func pair(t testing.TB, id uint16) (client, server *Layer) {
	t.Helper()
	return layerOf(t, Client, id, 0, 0), layerOf(t, Server, id, 0, 0)
}

// eachLayer runs a test with a layer of each suite and role.
func eachLayer(t *testing.T, test func(t *testing.T, l *Layer)) {
	for i := range suites {
		for role, name := range []string{Server: "server", Client: "client"} {
			l := layerOf(t, Role(role), suites[i].id, 0, 0)
			t.Run(tls.CipherSuiteName(suites[i].id)+"/"+name, func(t *testing.T) {
				t.Parallel()
				test(t, l)
			})
		}
	}
}

// peer is the other end of a layer's connection, which sends whatever a test wants. It
// is written anew, from the RFCs, with nothing of the package but the table of suites.
type peer struct {
	t           testing.TB
	suite       *suite
	read, write *peerHalf
}

type peerHalf struct {
	secret []byte
	seq    uint64
}

// peerOf returns the peer of a layer at its present state.
func peerOf(t testing.TB, l *Layer) *peer {
	s := &suites[l.suite]
	return &peer{
		t: t, suite: s,
		read:  &peerHalf{l.write.secret.reveal(s.kept), l.write.seq},
		write: &peerHalf{l.read.secret.reveal(s.kept), l.read.seq},
	}
}

func (p *peer) label(secret []byte, label string, n int) []byte {
	info := append([]byte{0, byte(n), byte(6 + len(label))}, "tls13 "+label+"\x00"...)
	b, err := hkdf.Expand(p.suite.hash, secret, string(info), n)
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

func (p *peer) key(h *peerHalf) (cipher.AEAD, []byte) {
	key, fixed := h.secret[:p.suite.key], h.secret[p.suite.key:]
	if p.suite.tls13 {
		key, fixed = p.label(h.secret, "key", p.suite.key), p.label(h.secret, "iv", 12)
	}
	aead, err := p.suite.aead(key)
	if err != nil {
		p.t.Fatal(err)
	}
	return aead, fixed
}

func xorSeq(fixed []byte, seq uint64) []byte {
	nonce := slices.Clone(fixed)
	for i := range 8 {
		nonce[4+i] ^= byte(seq >> (56 - 8*i))
	}
	return nonce
}

// send returns the next record, of that type and with that content; in TLS 1.3 with so
// many zeros behind.
func (p *peer) send(kind byte, content []byte, zeros int) []byte {
	if p.suite.tls13 {
		inner := append(append(slices.Clone(content), kind), make([]byte, zeros)...)
		return p.protect(23, inner)
	}
	return p.protect(kind, content)
}

func (p *peer) data(text string) []byte { return p.send(23, []byte(text), 0) }

// protect returns the next record, with that outer type.
func (p *peer) protect(kind byte, inner []byte) []byte {
	aead, fixed := p.key(p.write)
	header := []byte{kind, 3, 3, 0, 0}
	n := len(inner) + 16
	var record []byte
	switch {
	case p.suite.tls13:
		binary.BigEndian.PutUint16(header[3:], uint16(n))
		record = aead.Seal(slices.Clone(header), xorSeq(fixed, p.write.seq), inner, header)
	case len(fixed) == 12:
		binary.BigEndian.PutUint16(header[3:], uint16(n))
		record = aead.Seal(slices.Clone(header), xorSeq(fixed, p.write.seq), inner, p.extra(p.write.seq, kind, len(inner)))
	default:
		// The explicit part of a nonce is whatever the sender likes.
		explicit := binary.BigEndian.AppendUint64(nil, p.write.seq^0xfeedface<<32)
		binary.BigEndian.PutUint16(header[3:], uint16(n+8))
		record = aead.Seal(append(slices.Clone(header), explicit...), append(slices.Clone(fixed), explicit...), inner, p.extra(p.write.seq, kind, len(inner)))
	}
	p.write.seq++
	return record
}

func (p *peer) extra(seq uint64, kind byte, n int) []byte {
	b := append(binary.BigEndian.AppendUint64(nil, seq), kind, 3, 3)
	return binary.BigEndian.AppendUint16(b, uint16(n))
}

// update sends a KeyUpdate, and goes on to the next key.
func (p *peer) update(request byte) []byte {
	record := p.send(22, []byte{24, 0, 0, 1, request}, 0)
	p.next(p.write)
	return record
}

func (p *peer) next(h *peerHalf) {
	h.secret, h.seq = p.label(h.secret, "traffic upd", len(h.secret)), 0
}

// part is a record's type and content.
type part struct {
	kind    byte
	content string
}

// receive opens what the layer has sealed, and follows its KeyUpdates.
func (p *peer) receive(raw []byte) (parts []part) {
	p.t.Helper()
	for len(raw) > 0 {
		n := 5 + int(binary.BigEndian.Uint16(raw[3:]))
		if len(raw) < n || raw[1] != 3 || raw[2] != 3 {
			p.t.Fatalf("record %x is not whole, or not of version 3.3", raw[:5])
		}
		kind, content := p.unprotect(raw[:n])
		parts = append(parts, part{kind, string(content)})
		if kind == 22 && content[0] == 24 {
			p.next(p.read)
		}
		raw = raw[n:]
	}
	return parts
}

func (p *peer) unprotect(record []byte) (kind byte, content []byte) {
	p.t.Helper()
	aead, fixed := p.key(p.read)
	header, body := record[:5], record[5:]
	nonce, extra := xorSeq(slices.Concat(fixed, make([]byte, 12-len(fixed))), p.read.seq), header
	if len(fixed) == 4 {
		nonce, body = append(fixed[:4:4], body[:8]...), body[8:]
	}
	if !p.suite.tls13 {
		extra = p.extra(p.read.seq, header[0], len(body)-16)
	}
	inner, err := aead.Open(nil, nonce, body, extra)
	if err != nil {
		p.t.Fatalf("record number %d: %v", p.read.seq, err)
	}
	p.read.seq++
	if !p.suite.tls13 {
		return header[0], inner
	}
	return inner[len(inner)-1], inner[:len(inner)-1]
}

// openAll gives a layer all of raw, in pieces of step bytes, or at once (0), as its user
// does: what is left comes again. It stops at an error.
func openAll(t testing.TB, l *Layer, raw []byte, step int) (plain []byte, last Opened) {
	t.Helper()
	var kept []byte
	for {
		n := len(raw)
		if step > 0 {
			n = min(n, step)
		}
		kept = append(kept, raw[:n]...)
		raw = raw[n:]
		last = l.Open(kept)
		plain = append(plain, last.Plain...)
		if last.Used < 0 || last.Used > len(kept) || len(last.Plain) > last.Used {
			t.Fatalf("of %d bytes %d are used, %d plain", len(kept), last.Used, len(last.Plain))
		}
		kept = kept[last.Used:]
		if left := len(kept); left >= headerLen+maxPlain+2048 {
			t.Fatalf("%d bytes are left", left)
		}
		if len(raw) == 0 || last.Err != nil {
			return plain, last
		}
	}
}
