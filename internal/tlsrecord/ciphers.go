package tlsrecord

import (
	"crypto/cipher"
	"crypto/hmac"
	"encoding/binary"
	"slices"
)

// ciphers is what the keys of a layer are expanded to, each direction's when it is
// needed: some 1.6 KiB with AES-GCM, and what takes several times as long as to open or
// seal a small record.
type ciphers struct {
	read, write direction
	// What a cipher reads for one record. These are here because what is passed
	// through an interface is allocated each time if it is on the stack.
	nonce [nonceLen]byte
	extra [13]byte // TLS 1.2's additional data
}

// direction is one key, ready for use.
type direction struct {
	aead  cipher.AEAD // nil: not built
	fixed [nonceLen]byte
}

// reading returns the ciphers, of which that for reading is built.
func (l *Layer) reading() *ciphers {
	c := l.busyCiphers()
	if c.read.aead == nil {
		c.read.build(&suites[l.suite], &l.read.secret)
	}
	return c
}

// writing returns the ciphers, of which that for writing is built.
func (l *Layer) writing() *ciphers {
	c := l.busyCiphers()
	if c.write.aead == nil {
		c.write.build(&suites[l.suite], &l.write.secret)
	}
	return c
}

func (d *direction) build(s *suite, secret *Secret) {
	kept := secret.reveal(s.kept)
	key, fixed := kept[:s.key], kept[s.key:]
	if s.tls13 {
		mac := hmac.New(s.hash, kept)
		key, fixed = expandLabel(mac, "key", s.key), expandLabel(mac, "iv", s.fixed)
	}
	aead, err := s.aead(key)
	if err != nil { // of the key's length: suiteOf has refused all else
		panic("tlsrecord: " + err.Error())
	}
	d.aead = aead
	copy(d.fixed[:], fixed)
	clear(kept)
	clear(key)
	clear(fixed)
}

// A record on the wire, of TLS 1.3 and of 1.2 (its explicit nonce is AES-GCM's alone):
//
//	23  3 3  length │ data, kind, zeros │ tag
//	kind 3 3 length │ explicit nonce │ data │ tag
//
// The length is of all that follows it. RFC 8446, section 5.2; RFC 5246, section 6.2.3;
// RFC 5288, section 3; RFC 7905, section 2.
const headerLen = 5

// nonceOf sets the nonce of record number seq; explicit is what the record carries of it.
func (c *ciphers) nonceOf(d *direction, seq uint64, explicit []byte) []byte {
	c.nonce = d.fixed
	tail := c.nonce[nonceLen-8:]
	if len(explicit) > 0 {
		copy(tail, explicit)
	} else {
		binary.BigEndian.PutUint64(tail, binary.BigEndian.Uint64(tail)^seq)
	}
	return c.nonce[:]
}

// extraOf sets the additional data of a record of TLS 1.2: its number, its header, and
// in that the length of the data alone.
func (c *ciphers) extraOf(seq uint64, kind byte, length int) []byte {
	binary.BigEndian.PutUint64(c.extra[:], seq)
	c.extra[8], c.extra[9], c.extra[10] = kind, 3, 3
	binary.BigEndian.PutUint16(c.extra[11:], uint16(length))
	return c.extra[:]
}

// unprotect opens record number seq, a whole one, in its own memory: kind and plain are
// TLSInnerPlaintext in TLS 1.3, so kind is not known yet.
func (c *ciphers) unprotect(s *suite, d *direction, seq uint64, record []byte) (plain []byte, ok bool) {
	header, body := record[:headerLen], record[headerLen:]
	explicit := s.explicit()
	if len(body) < explicit+tagLen {
		return nil, false
	}
	nonce := c.nonceOf(d, seq, body[:explicit])
	body = body[explicit:]
	extra := header
	if !s.tls13 {
		extra = c.extraOf(seq, header[0], len(body)-tagLen)
	}
	plain, err := d.aead.Open(body[:0], nonce, body, extra)
	return plain, err == nil
}

// protect appends to dst record number seq, which carries plain.
func (c *ciphers) protect(s *suite, d *direction, seq uint64, dst []byte, kind byte, plain []byte) []byte {
	length := s.explicit() + len(plain) + tagLen
	outer := kind
	if s.tls13 {
		length, outer = length+1, kindData
	}
	dst = slices.Grow(dst, headerLen+length)
	start := len(dst)
	dst = append(dst, outer, 3, 3, byte(length>>8), byte(length))
	body := len(dst)
	if s.tls13 {
		dst = append(append(dst, plain...), kind)
		return d.aead.Seal(dst[:body], c.nonceOf(d, seq, nil), dst[body:], dst[start:body])
	}
	if s.explicit() > 0 {
		dst = binary.BigEndian.AppendUint64(dst, seq)
	}
	nonce := c.nonceOf(d, seq, dst[body:])
	return d.aead.Seal(dst, nonce, plain, c.extraOf(seq, kind, len(plain)))
}
