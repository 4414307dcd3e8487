package tlsrecord

import (
	"crypto/hmac"
	"hash"
)

// expandLabel is HKDF-Expand-Label with an empty context (RFC 8446, section 7.1), of an
// HMAC with the secret as its key. What is asked for is never longer than a hash, so
// HKDF-Expand is one HMAC (RFC 5869, section 2.3), and the two of a key share the mac:
// package hkdf takes twice as long.
func expandLabel(mac hash.Hash, label string, n int) []byte {
	const prefix = "tls13 "
	info := append(make([]byte, 0, 64), byte(n>>8), byte(n), byte(len(prefix)+len(label)))
	info = append(append(append(info, prefix...), label...), 0, 1)
	return sum(mac, info)[:n]
}

// prf is the pseudorandom function of TLS 1.2 (RFC 5246, section 5).
func prf(h func() hash.Hash, secret []byte, label string, seed []byte, n int) []byte {
	mac := hmac.New(h, secret)
	seed = append([]byte(label), seed...)
	var out []byte
	for a := seed; len(out) < n; {
		a = sum(mac, a)
		out = append(out, sum(mac, a, seed)...)
	}
	return out[:n]
}

func sum(mac hash.Hash, parts ...[]byte) []byte {
	mac.Reset()
	for _, p := range parts {
		mac.Write(p)
	}
	return mac.Sum(nil)
}

// keyBlock returns the key material of both directions: for each a key, and the fixed
// part of its nonces (RFC 5246, section 6.3).
func (s *suite) keyBlock(master []byte, clientRandom, serverRandom [32]byte) (client, server []byte) {
	seed := append(serverRandom[:], clientRandom[:]...)
	block := prf(s.hash, master, "key expansion", seed, 2*(s.key+s.fixed))
	keys, fixed := block[:2*s.key], block[2*s.key:]
	client = append(append(client, keys[:s.key]...), fixed[:s.fixed]...)
	server = append(append(server, keys[s.key:]...), fixed[s.fixed:]...)
	clear(block)
	return client, server
}
