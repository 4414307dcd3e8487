package tlsrecord

import (
	"crypto/hmac"
	"math"
	"slices"
)

// What a KeyUpdate asks for (RFC 8446, section 4.6.3).
const (
	updateNotRequested = 0
	updateRequested    = 1
)

// Seal appends to dst the records that carry plain, of 16 KiB at most, and returns dst.
// plain must not lie in dst's spare room. A KeyUpdate that is owed goes before them, and
// one of our own where a key has been used as much as it may.
//
// It appends nothing for no bytes, and nothing after CloseNotify, or once the connection
// has failed. It may fail itself, then with an alert: Err says so.
func (l *Layer) Seal(dst, plain []byte) []byte {
	if l.selfDone || l.fault != faultNone || len(plain) == 0 {
		return dst
	}
	s := &suites[l.suite]
	records := (len(plain) + maxPlain - 1) / maxPlain
	dst = slices.Grow(dst, len(plain)+records*(headerLen+s.explicit()+1+tagLen))
	for len(plain) > 0 {
		switch {
		case s.tls13 && (l.owed != owedNone || l.write.spent(s) || l.write.seq == lastSeq-1):
			dst = l.update(dst)
		case l.write.spent(s):
			return l.fail(dst, faultKeySpent)
		}
		n := min(len(plain), maxPlain)
		var f fault
		if dst, f = l.sealRecord(dst, kindData, plain[:n]); f != faultNone {
			return l.fail(dst, f)
		}
		plain = plain[n:]
	}
	return dst
}

// update appends a KeyUpdate, and goes on to the next key.
func (l *Layer) update(dst []byte) []byte {
	request := byte(updateNotRequested)
	if l.owed == owedAsk {
		request = updateRequested
	}
	dst, f := l.sealRecord(dst, kindHandshake, []byte{keyUpdate, 0, 0, 1, request})
	if f != faultNone {
		return dst // what is sealed next fails as well
	}
	l.owed = owedNone
	l.renew(&l.write)
	return dst
}

// sealRecord appends one record, or nothing if there is no number for it.
func (l *Layer) sealRecord(dst []byte, kind byte, plain []byte) ([]byte, fault) {
	if l.write.seq == lastSeq {
		return dst, faultSequence
	}
	s, c := &suites[l.suite], l.writing()
	before := len(dst)
	dst = c.protect(s, &c.write, l.write.seq, dst, kind, plain)
	l.write.count(len(dst) - before)
	return dst, faultNone
}

// lastSeq is not used: a number that wraps would repeat a nonce (RFC 8446, section 5.3).
const lastSeq = math.MaxUint64

// spent says whether the key has protected as much as it should.
func (h *half) spent(s *suite) bool { return h.blocks >= s.limit }

// count counts a record of so many bytes on the wire.
func (h *half) count(length int) {
	h.seq++
	h.blocks += uint64(length/16) + 1 // of data, and what the tag and the rest add
}

// renew goes on to the next traffic secret (RFC 8446, section 7.2).
func (l *Layer) renew(h *half) {
	s := &suites[l.suite]
	kept := h.secret.reveal(s.kept)
	next := expandLabel(hmac.New(s.hash, kept), "traffic upd", s.kept)
	h.secret.put(next)
	h.seq, h.blocks = 0, 0
	clear(kept)
	clear(next)
	if l.entry == nil {
		return
	}
	if c := l.entry.ciphers; h == &l.read {
		c.read = direction{}
	} else {
		c.write = direction{}
	}
}
