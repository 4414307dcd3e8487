package credentials

import (
	"crypto"
	"crypto/rsa"
	"encoding/binary"
)

// What goes from the master to a worker is a message: magic, then sections, each a kind of
// one byte, a length of four bytes, the highest first, and as many bytes.
//
//	kind              | bytes
//	sectionMinVersion | the least version of TLS, 2 bytes
//	sectionPair       | lists of fields: private key (PKCS #8), OCSP answer or nothing, the chain's certificates
//	sectionClientCA   | a certificate
//	sectionFile       | where a pair's certificate was read, for people: the first is that of the first pair
//	sectionTicketKeys | 1 byte: 1 if they are of a file; each key: when it was made, in seconds of Unix, 8 bytes; 32 bytes
//
// A field is a length of four bytes, and as many bytes. Sections of one kind are in the
// order that they count in. A reader passes over kinds that it does not know if their
// highest bit is set, and refuses others: a later version may add something that it must
// not do without.
const magic = "usher tls 1\n"

const (
	sectionMinVersion byte = 1 + iota
	sectionPair
	sectionClientCA
	sectionTicketKeys
	sectionMayBeUnknown byte = 0x80

	sectionFile = sectionMayBeUnknown | 1
)

// MaxEncoded is the most bytes that a message has.
const MaxEncoded = 16 << 20

// Encode returns credentials and ticket keys as one message, for a sealed memfd. The
// caller wipes it with Wipe once it is written.
func Encode(c *Credentials, k *TicketKeys) []byte {
	b := append(make([]byte, 0, encodedSize(c, k)), magic...) // at once: what append grows leaves copies
	b = c.appendTo(b)
	return k.appendTo(b)
}

// EncodeTicketKeys returns ticket keys alone as a message, which the caller wipes.
func EncodeTicketKeys(k *TicketKeys) []byte {
	return k.appendTo(append(make([]byte, 0, len(magic)+k.encodedSize()), magic...))
}

// Wipe overwrites a message.
func Wipe(message []byte) { clear(message) }

const lengthLen = 4

// encodedSize returns how long a message is at most, without making one.
func encodedSize(c *Credentials, k *TicketKeys) int {
	n := len(magic) + 1 + lengthLen + 2
	for _, one := range c.certificates {
		n += 1 + lengthLen + 2*lengthLen + maxKeySize(one.pair.PrivateKey)
		n += 1 + lengthLen + len(one.file)
		for _, der := range one.pair.Certificate {
			n += lengthLen + len(der)
		}
		if one.stapled != nil {
			n += len(one.stapled.OCSPStaple)
		}
	}
	for _, ca := range c.clientCAs {
		n += 1 + lengthLen + len(ca.Raw)
	}
	return n + k.encodedSize()
}

// maxKeySize returns how long a private key is at most, as marshalKey has it.
func maxKeySize(key crypto.PrivateKey) int {
	const other = 512 // ECDSA P-521 has 241 bytes
	if key, is := key.(*rsa.PrivateKey); is {
		return 8*key.Size() + other // n and d, of its size; p, q, dp, dq and qinv of half of it
	}
	return other
}

func (k *TicketKeys) encodedSize() int {
	if k == nil {
		return 1 + lengthLen + 1 + MaxTicketKeys*ticketEntryLen
	}
	return 1 + lengthLen + 1 + len(k.keys)*ticketEntryLen
}

const ticketEntryLen = 8 + ticketKeyLen

func (c *Credentials) appendTo(b []byte) []byte {
	b = appendSection(b, sectionMinVersion, func(b []byte) []byte { return binary.BigEndian.AppendUint16(b, c.minVersion) })
	for _, one := range c.certificates {
		b = appendSection(b, sectionPair, one.appendTo)
	}
	for _, one := range c.certificates {
		b = appendSection(b, sectionFile, func(b []byte) []byte { return append(b, one.file...) })
	}
	for _, ca := range c.clientCAs {
		b = appendSection(b, sectionClientCA, func(b []byte) []byte { return append(b, ca.Raw...) })
	}
	return b
}

func (c *certificate) appendTo(b []byte) []byte {
	key := marshalKey(c.pair.PrivateKey)
	defer clear(key)
	b = appendField(b, key)
	var answer []byte
	if c.stapled != nil {
		answer = c.stapled.OCSPStaple
	}
	b = appendField(b, answer)
	for _, der := range c.pair.Certificate {
		b = appendField(b, der)
	}
	return b
}

func (k *TicketKeys) appendTo(b []byte) []byte {
	return appendSection(b, sectionTicketKeys, func(b []byte) []byte {
		fromFile := byte(0)
		if k.fromFile {
			fromFile = 1
		}
		b = append(b, fromFile)
		for _, key := range k.keys {
			b = binary.BigEndian.AppendUint64(b, uint64(unixOf(key.made)))
			b = append(b, key.secret[:]...)
		}
		return b
	})
}

// appendSection appends a section of what contents appends.
func appendSection(b []byte, kind byte, contents func([]byte) []byte) []byte {
	b = append(b, kind, 0, 0, 0, 0)
	start := len(b)
	b = contents(b)
	binary.BigEndian.PutUint32(b[start-lengthLen:], uint32(len(b)-start))
	return b
}

func appendField(b, field []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(field))), field...)
}
