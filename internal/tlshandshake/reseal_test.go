package tlshandshake

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"slices"
	"testing"
)

// resealing is the connection of a client of TLS 1.2 with AES-128-GCM. It opens what the
// client seals, and seals something else, as another client would have sent it.
type resealing struct {
	*end
	secrets     secrets // those of the client
	wrote, read direction
	changed     bool
	opens       uint64
	seals       uint64
	change      func(messages []message) []message
}

// message is the content of a record.
type message struct {
	typ     byte
	content []byte
}

// Read looks for the server's random.
func (r *resealing) Read(p []byte) (int, error) {
	n, err := r.end.Read(p)
	for b := p[:n]; r.read.have == 0 && len(b) >= headerLength; b = b[min(recordLength(b), len(b)):] {
		r.read.note(b[:min(recordLength(b), len(b))])
	}
	return n, err
}

func (r *resealing) Write(p []byte) (int, error) {
	var messages []message
	for b := p; len(b) > 0; b = b[recordLength(b):] {
		record := b[:recordLength(b)]
		r.wrote.note(record)
		if !r.changed {
			r.end.Write(record)
			r.changed = record[0] == typeChangeCipherSpec
			continue
		}
		messages = append(messages, message{record[0], r.open(record)})
		r.opens++
	}
	for _, m := range r.change(messages) {
		r.end.Write(r.seal(m))
		r.seals++
	}
	return len(p), nil
}

func (r *resealing) open(record []byte) []byte {
	payload := record[headerLength:]
	plain, err := r.aead().Open(nil, r.nonce(payload[:8]), payload[8:], additional(r.opens, record[0], len(payload)-24))
	return must(plain, err)
}

func (r *resealing) seal(m message) []byte {
	explicit := binary.BigEndian.AppendUint64(nil, r.seals)
	record := []byte{m.typ, 3, 3, 0, 0}
	binary.BigEndian.PutUint16(record[3:], uint16(len(m.content)+24))
	record = append(record, explicit...)
	return r.aead().Seal(record, r.nonce(explicit), m.content, additional(r.seals, m.typ, len(m.content)))
}

// additional is RFC 5246, section 6.2.3.3.
func additional(seq uint64, typ byte, length int) []byte {
	return append(binary.BigEndian.AppendUint64(nil, seq), typ, 3, 3, byte(length>>8), byte(length))
}

func (r *resealing) aead() cipher.AEAD {
	return must(cipher.NewGCM(must(aes.NewCipher(r.block()[:16]))))
}

// nonce is RFC 5288, section 3.
func (r *resealing) nonce(explicit []byte) []byte {
	return append(slices.Clone(r.block()[32:36]), explicit...)
}

// block derives keys and nonces (RFC 5246, sections 5 and 6.3).
func (r *resealing) block() []byte {
	client, ok := r.wrote.helloRandom(messageClientHello)
	server, ok2 := r.read.helloRandom(messageServerHello)
	if !ok || !ok2 {
		panic("no randoms")
	}
	seed := slices.Concat([]byte("key expansion"), server[:], client[:])
	sum := func(b []byte) []byte {
		mac := hmac.New(sha256.New, r.secrets.master.value())
		mac.Write(b)
		return mac.Sum(nil)
	}
	var out []byte
	for a := sum(seed); len(out) < 40; a = sum(a) {
		out = append(out, sum(append(slices.Clone(a), seed...))...)
	}
	return out
}

// resealed returns a client that is changed on the way, and its server.
func resealed(t *testing.T, change func([]message) []message) (*tls.Conn, *server) {
	conn, s := serve(t, NewPool(1), serverConfig(ecdsaKey()), 0)
	r := &resealing{end: conn, change: change}
	config := clientConfig(tls.VersionTLS12)
	config.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	config.KeyLogWriter = &r.secrets
	return tls.Client(r, config), s
}

// TestFinishedInPieces: in TLS 1.2 more than one record may come before the first one of
// the application, with the same key.
func TestFinishedInPieces(t *testing.T) {
	tests := map[string]func(messages []message) []message{
		"whole": func(m []message) []message { return m },
		"pieces": func(m []message) []message {
			if len(m) != 1 || m[0].typ != typeHandshake {
				return m
			}
			return []message{{typeHandshake, m[0].content[:1]}, {typeHandshake, m[0].content[1:10]}, {typeHandshake, m[0].content[10:]}}
		},
		"a warning before": func(m []message) []message {
			if len(m) == 1 && m[0].typ == typeHandshake {
				return []message{{typeAlert, []byte{1, 90}}, m[0]}
			}
			return m
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			client, s := resealed(t, change)
			finish(t, s, client)
		})
	}
}

// TestMessageBehindFinished: a client that begins a renegotiation in the record of its
// Finished is told of it, and goes no further: what it has said is lost in crypto/tls.
func TestMessageBehindFinished(t *testing.T) {
	client, s := resealed(t, func(m []message) []message {
		if len(m) == 1 && m[0].typ == typeHandshake {
			m[0].content = append(m[0].content, bytes.Repeat([]byte{messageClientHello}, 4)...)
		}
		return m
	})
	err := client.Handshake()
	if err == nil {
		_, err = client.Read(make([]byte, 1))
	}
	if got := <-s.result; got.err == nil || got.err.(*Error).Reason != Malformed || err == nil || err.Error() != "remote error: tls: unexpected message" {
		t.Errorf("server %v, client %v", got.err, err)
	}
}
