package tlsrecord

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"errors"
	"fmt"
	"hash"
	"math"

	"golang.org/x/crypto/chacha20poly1305"
)

// suite is what a cipher suite means for records. All have tags of tagLen bytes, and
// nonces of nonceLen.
type suite struct {
	id    uint16
	tls13 bool
	hash  func() hash.Hash // of the key schedule
	aead  func(key []byte) (cipher.AEAD, error)
	key   int // bytes of a key
	fixed int // bytes of each nonce that the key schedule gives; the rest of TLS 1.2's is in the record
	kept  int // bytes of key material that a Layer keeps for a direction
	// limit is how many blocks one key may protect: 2^24 full records of AES-GCM, where
	// RFC 8446, section 5.5, allows 2^24.5. The same cipher has the same limit in TLS 1.2.
	// ChaCha20-Poly1305 has none: the sequence numbers end before.
	limit uint64
}

const (
	tagLen   = 16
	nonceLen = 12

	limitGCM = 1 << 34
	limitNo  = math.MaxUint64
)

var suites = [...]suite{
	{tls.TLS_AES_128_GCM_SHA256, true, sha256.New, gcm, 16, 12, 32, limitGCM},
	{tls.TLS_AES_256_GCM_SHA384, true, sha512.New384, gcm, 32, 12, 48, limitGCM},
	{tls.TLS_CHACHA20_POLY1305_SHA256, true, sha256.New, chacha20poly1305.New, 32, 12, 32, limitNo},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, false, sha256.New, gcm, 16, 4, 20, limitGCM},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, false, sha256.New, gcm, 16, 4, 20, limitGCM},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, false, sha512.New384, gcm, 32, 4, 36, limitGCM},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, false, sha512.New384, gcm, 32, 4, 36, limitGCM},
	{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, false, sha256.New, chacha20poly1305.New, 32, 12, 44, limitNo},
	{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, false, sha256.New, chacha20poly1305.New, 32, 12, 44, limitNo},
}

var errFIPS = errors.New("GODEBUG=fips140=only refuses the ciphers: fips140=on would do")

// suiteOf returns the place of a suite in the table. It refuses what this process
// cannot use.
func suiteOf(id uint16) (int, error) {
	if fips140.Enforced() {
		return 0, errFIPS
	}
	for i := range suites {
		if suites[i].id == id {
			return i, nil
		}
	}
	return 0, fmt.Errorf("cipher suite %s is not one of this package", tls.CipherSuiteName(id))
}

// explicit is how many bytes of a nonce are in each record (RFC 5288, section 3).
func (s *suite) explicit() int { return nonceLen - s.fixed }

// longest is the most bytes that may follow a record's header (RFC 8446, section 5.2;
// RFC 5246, section 6.2.3).
func (s *suite) longest() int {
	if s.tls13 {
		return maxPlain + 256
	}
	return maxPlain + 2048
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
