package tlshandshake

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
)

// secrets is what crypto/tls tells of one handshake by the hooks of its Config. It is
// wiped at the handshake's end; crypto/tls's own copies are the garbage collector's.
type secrets struct {
	clientHandshake, serverHandshake secret // TLS 1.3
	client, server                   secret // TLS 1.3, application traffic
	master                           secret // TLS 1.2, full handshake
	resumed                          secret // TLS 1.2, the master secret of the ticket, if that was accepted
	ticketRecords                    uint64 // TLS 1.3: records that carry tickets
}

// secret has room for what a hash of 384 bits gives, and for a master secret.
type secret struct {
	bytes [48]byte
	n     int
}

func (s *secret) value() []byte { return s.bytes[:s.n] }

var (
	errKeyLogLine = errors.New("tls: internal error: a line of the key log is not as expected")
	oneSpace      = []byte(" ")
)

// Write takes one line of NSS's key log format: a label, the client's random and a
// secret, the last two in hexadecimal digits. crypto/tls holds one lock for all
// connections meanwhile, so this only copies.
func (s *secrets) Write(line []byte) (int, error) {
	label, rest, _ := bytes.Cut(line, oneSpace)
	into := s.labelled(label)
	if into == nil {
		return len(line), nil
	}
	_, digits, _ := bytes.Cut(bytes.TrimRight(rest, "\n"), oneSpace)
	if len(digits) > hex.EncodedLen(len(into.bytes)) {
		return 0, errKeyLogLine
	}
	n, err := hex.Decode(into.bytes[:], digits)
	if err != nil || n == 0 {
		return 0, errKeyLogLine
	}
	into.n = n
	return len(line), nil
}

func (s *secrets) labelled(label []byte) *secret {
	switch string(label) {
	case "CLIENT_HANDSHAKE_TRAFFIC_SECRET":
		return &s.clientHandshake
	case "SERVER_HANDSHAKE_TRAFFIC_SECRET":
		return &s.serverHandshake
	case "CLIENT_TRAFFIC_SECRET_0":
		return &s.client
	case "SERVER_TRAFFIC_SECRET_0":
		return &s.server
	case "CLIENT_RANDOM":
		return &s.master
	}
	return nil
}

// config returns the shared config with the hooks of this handshake, and without what no
// record layer could go on with.
func (h *Handshake) config() (*tls.Config, error) {
	if h.base.GetConfigForClient != nil {
		return nil, internal("the configuration has GetConfigForClient, whose result would lack the hooks")
	}
	c := h.base.Clone()
	c.KeyLogWriter = &h.secrets
	c.WrapSession = h.wrapSession
	c.UnwrapSession = h.unwrapSession
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	if c.CipherSuites == nil {
		c.CipherSuites = suites12
	}
	return c, nil
}

// suites12 are those of TLS 1.2 that internal/tlsrecord knows.
var suites12 = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// wrapSession seals a ticket with the shared keys, and counts its records if they are of
// the application's keys.
func (h *Handshake) wrapSession(state tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
	ticket, err := h.base.EncryptTicket(state, session)
	if err == nil && state.Version == tls.VersionTLS13 {
		h.secrets.ticketRecords += uint64(ticketOverhead+len(ticket)+maxPlaintext-1) / maxPlaintext
	}
	return ticket, err
}

// ticketOverhead is what NewSessionTicket of TLS 1.3 has beside the ticket: the message's
// header, lifetime, age_add, an empty nonce, and the lengths of ticket and extensions (RFC
// 8446, section 4.6.1). Most tickets take one record, those with long chains of the
// client's certificates more.
const (
	ticketOverhead = helloHeader + 4 + 4 + 1 + 2 + 2
	maxPlaintext   = 16 << 10
)

// unwrapSession opens a ticket with the shared keys. When TLS 1.2 resumes, the master
// secret is the session's, of which the key log says nothing.
func (h *Handshake) unwrapSession(identity []byte, state tls.ConnectionState) (*tls.SessionState, error) {
	session, err := h.base.DecryptTicket(identity, state)
	if session == nil || err != nil || state.Version != tls.VersionTLS12 {
		return session, err
	}
	if !h.secrets.resumed.ofSession(session) {
		return nil, nil // a full handshake
	}
	return session, nil
}

// ofSession takes the master secret of a session of TLS 1.2. The beginning of what
// SessionState.Bytes returns does not change between releases of Go that may share ticket
// keys (the comment on its fields says so): version, whose session, suite, time of creation, secret.
func (s *secret) ofSession(session *tls.SessionState) bool {
	const (
		server = 1
		before = 2 + 1 + 2 + 8 // bytes before the secret's length
	)
	b, err := session.Bytes()
	if err != nil {
		return false
	}
	defer clear(b)
	if len(b) < before+1+len(s.bytes) || binary.BigEndian.Uint16(b) != tls.VersionTLS12 || b[2] != server || int(b[before]) != len(s.bytes) {
		return false
	}
	s.n = copy(s.bytes[:], b[before+1:])
	return true
}
