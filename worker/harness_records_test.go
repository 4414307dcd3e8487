package worker_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"testing"

	"github.com/usher-go/usher/internal/tlsrecord"
)

// records is a client of TLS 1.3 that makes its records by itself after a handshake by
// crypto/tls, so that a test can cut and spoil them. It reads by a record layer.
type records struct {
	*client
	net.Conn // the socket
	layer    *tlsrecord.Layer
	secret   []byte // of what it sends
	sequence uint64
	raw      []byte // received, not opened
	plain    []byte // opened, not read
	opened   int    // records of what was read
	err      error  // of the last read
}

// The types of records: RFC 8446, section 5.1.
const (
	recordAlert     = 21
	recordHandshake = 22
	recordData      = 23
)

// secretsOf takes the traffic secrets of a handshake off its key log.
type secretsOf struct{ client, server []byte }

func (s *secretsOf) Write(line []byte) (int, error) {
	fields := bytes.Fields(line)
	secret, err := hex.AppendDecode(nil, fields[2])
	switch string(fields[0]) {
	case "CLIENT_TRAFFIC_SECRET_0":
		s.client = secret
	case "SERVER_TRAFFIC_SECRET_0":
		s.server = secret
	}
	return len(line), err
}

// shakeForRecords shakes hands. crypto/tls lets nobody choose the suite of TLS 1.3, and
// takes that of AES with 128 bits where processors can do it.
func (c *client) shakeForRecords(config *tls.Config) *records {
	c.t.Helper()
	config, secrets := config.Clone(), &secretsOf{}
	config.KeyLogWriter, config.MinVersion = secrets, tls.VersionTLS13
	conn := tls.Client(c.Conn, config)
	check(c.t, conn.Handshake())
	suite := conn.ConnectionState().CipherSuite
	if suite != tls.TLS_AES_128_GCM_SHA256 {
		c.t.Skipf("the suite is %s: this machine has no AES", tls.CipherSuiteName(suite))
	}
	layer, err := tlsrecord.NewTLS13(tlsrecord.Client, suite, secrets.client, secrets.server, 0, 0)
	check(c.t, err)
	return &records{client: c, Conn: c.Conn, layer: layer, secret: secrets.client}
}

func expandLabel(t testing.TB, secret []byte, label string, length int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(length))
	info = append(append(info, byte(6+len(label))), "tls13 "+label+"\x00"...)
	out, err := hkdf.Expand(sha256.New, secret, string(info), length)
	check(t, err)
	return out
}

// record returns the next record, with the content and padding.
func (r *records) record(kind byte, content string, padding int) []byte {
	r.t.Helper()
	block, err := aes.NewCipher(expandLabel(r.t, r.secret, "key", 16))
	check(r.t, err)
	aead, err := cipher.NewGCM(block)
	check(r.t, err)
	nonce := expandLabel(r.t, r.secret, "iv", 12)
	for i := range 8 {
		nonce[4+i] ^= byte(r.sequence >> (8 * (7 - i)))
	}
	r.sequence++
	inner := append(append([]byte(content), kind), make([]byte, padding)...)
	header := []byte{23, 3, 3, byte((len(inner) + 16) >> 8), byte(len(inner) + 16)}
	return aead.Seal(header, nonce, inner, header)
}

// update goes on with the key that follows KeyUpdate.
func (r *records) update() {
	r.secret, r.sequence = expandLabel(r.t, r.secret, "traffic upd", 32), 0
}

// put sends bytes as they are.
func (r *records) put(pieces ...[]byte) {
	r.t.Helper()
	for _, b := range pieces {
		_, err := r.Conn.Write(b)
		check(r.t, err)
	}
}

// say sends data in a record.
func (r *records) say(s string) {
	r.t.Helper()
	r.put(r.record(recordData, s, 0))
}

// hear reads data, and wants it to be that.
func (r *records) hear(want string) {
	r.t.Helper()
	for len(r.plain) < len(want) && r.err == nil {
		r.fill()
	}
	if got := string(r.plain[:min(len(r.plain), len(want))]); got != want {
		r.t.Fatalf("got %.80q and %v, want %.80q", got, r.err, want)
	}
	r.plain = r.plain[len(want):]
}

// end reads to the end, and returns what it was: nil after close_notify.
func (r *records) end() error {
	for r.err == nil {
		r.fill()
	}
	if r.err == io.EOF {
		return r.layer.EOF()
	}
	return r.err
}

// fill reads once.
func (r *records) fill() {
	buffer := make([]byte, 64<<10)
	n, err := r.Conn.Read(buffer)
	r.raw = append(r.raw, buffer[:n]...)
	for rest := r.raw; len(rest) >= 5 && len(rest) >= 5+int(binary.BigEndian.Uint16(rest[3:])); r.opened++ {
		rest = rest[5+int(binary.BigEndian.Uint16(rest[3:])):]
	}
	o := r.layer.Open(r.raw)
	r.plain, r.raw = append(r.plain, o.Plain...), bytes.Clone(r.raw[o.Used:])
	if r.err = err; o.Err != nil {
		r.err = o.Err
	}
}
