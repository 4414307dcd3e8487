package worker

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/usher-go/usher/internal/tlsrecord"
)

// TLSState is what a connection's TLS handshake has come to. It moves along with the
// connection.
type TLSState struct {
	Version          uint16              // tls.VersionTLS12 or tls.VersionTLS13
	CipherSuite      uint16              // as tls.CipherSuiteName takes it
	ALPN             string              // the protocol agreed on (WithALPN), or empty
	ServerName       string              // that the client has asked for, or empty
	PeerCertificates []*x509.Certificate // of the client, its own first; nil without --tls-client-ca; not to be changed
	Resumed          bool                // by a session ticket
}

// TLS returns what the connection's TLS handshake has come to; false if it has no TLS. It
// is for any goroutine.
func (c *Conn) TLS() (TLSState, bool) {
	if c.origin.tls == nil {
		return TLSState{}, false
	}
	return c.origin.tls.TLSState, true
}

// tlsTransport is the transport of a connection with TLS, after its handshake. What passes
// is protected by a record layer; what there is to tell of the connection, which many share,
// is apart (tlsFacts), so that an idle one is little more than its secrets.
type tlsTransport struct{ *tlsrecord.Layer }

// secured is an origin of a connection with TLS, and its record layer.
type secured struct {
	origin
	layer tlsrecord.Layer
}

func (t tlsTransport) decode(raw []byte, eof bool) decoded {
	o := t.Open(raw)
	return t.decoded(&o, eof)
}

// decoded is what the record layer has made of some input, as decode returns it.
func (t tlsTransport) decoded(o *tlsrecord.Opened, eof bool) decoded {
	if eof && o.Err == nil {
		o.Err = t.EOF() // without close_notify, somebody on the way may have cut it: no end
	}
	return decoded{used: o.Used, plain: o.Plain, reply: o.Reply, end: o.End, err: o.Err}
}

func (t tlsTransport) encode(dst, plain []byte) []byte { return t.Seal(dst, plain) }
func (t tlsTransport) finish(dst []byte) []byte        { return t.CloseNotify(dst) }
func (t tlsTransport) freeze(dst []byte) []byte        { return t.Freeze(dst) }
func (t tlsTransport) fault() error                    { return t.Err() }

// tlsFacts are a TLSState, and what else there is to know of a handshake. Connections of
// which all of that is the same share one: see factsTable. They do not change, but for
// users.
type tlsFacts struct {
	TLSState
	caHash  [8]byte // of the CAs by which PeerCertificates were verified; zero: of none
	encoded string  // as they travel
	users   int     // connections of this loop
}

// factsTable holds the facts of a loop's connections, by their encoded form. The zero value
// is empty. It belongs to the loop's goroutine.
type factsTable map[string]*tlsFacts

// intern returns the facts that are encoded so, for one more connection.
func (t *factsTable) intern(encoded []byte) (*tlsFacts, error) {
	f := (*t)[string(encoded)]
	if f == nil {
		f = &tlsFacts{encoded: string(encoded)}
		if err := f.decode(); err != nil {
			return nil, err
		}
		if *t == nil {
			*t = make(factsTable)
		}
		(*t)[f.encoded] = f
	}
	f.users++
	return f, nil
}

// release is called when a connection with these facts has ended, or left.
func (t factsTable) release(f *tlsFacts) {
	if f.users--; f.users == 0 {
		delete(t, f.encoded)
	}
}

// Facts on their way to another worker, and as the key of the table (all numbers
// little-endian):
//
//	 0  u16  version of TLS
//	 2  u16  cipher suite
//	 4  u8   1: resumed
//	 5  [8]  hash of the client CAs
//	13  u8   length of the ALPN protocol
//	14  u8   length of the server name
//	15       both, then for each certificate: u32 length, DER
const (
	factsFixed = 15
	// maxFactName bounds an ALPN protocol (RFC 7301, section 3.1) and a server name (a
	// name of DNS).
	maxFactName = 255
)

var errFacts = errors.New("malformed facts of TLS")

// appendFacts encodes facts behind b.
func appendFacts(b []byte, s *TLSState, caHash [8]byte) []byte {
	resumed := byte(0)
	if s.Resumed {
		resumed = 1
	}
	alpn, name := s.ALPN[:min(len(s.ALPN), maxFactName)], s.ServerName[:min(len(s.ServerName), maxFactName)]
	b = binary.LittleEndian.AppendUint16(b, s.Version)
	b = binary.LittleEndian.AppendUint16(b, s.CipherSuite)
	b = append(b, resumed)
	b = append(b, caHash[:]...)
	b = append(b, byte(len(alpn)), byte(len(name)))
	b = append(append(b, alpn...), name...)
	for _, certificate := range s.PeerCertificates {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(certificate.Raw)))
		b = append(b, certificate.Raw...)
	}
	return b
}

// decode reads what appendFacts has written, all of f.encoded.
func (f *tlsFacts) decode() error {
	b := []byte(f.encoded)
	if len(b) < factsFixed || b[4] > 1 || len(b) < factsFixed+int(b[13])+int(b[14]) {
		return errFacts
	}
	f.Version, f.CipherSuite = binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:])
	if f.Version != tls.VersionTLS12 && f.Version != tls.VersionTLS13 {
		return fmt.Errorf("%w: version %#x", errFacts, f.Version)
	}
	f.Resumed = b[4] == 1
	f.caHash = [8]byte(b[5:])
	names, rest := f.encoded[factsFixed:], b[factsFixed+int(b[13])+int(b[14]):]
	f.ALPN, f.ServerName = names[:b[13]], names[b[13]:int(b[13])+int(b[14])]
	for len(rest) > 0 {
		if len(rest) < 4 || int64(len(rest)-4) < int64(binary.LittleEndian.Uint32(rest)) {
			return errFacts
		}
		end := 4 + int(binary.LittleEndian.Uint32(rest))
		certificate, err := x509.ParseCertificate(rest[4:end])
		if err != nil {
			return fmt.Errorf("%w: %w", errFacts, err)
		}
		f.PeerCertificates = append(f.PeerCertificates, certificate)
		rest = rest[end:]
	}
	return nil
}
