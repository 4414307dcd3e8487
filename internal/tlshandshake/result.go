package tlshandshake

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/usher-go/usher/internal/tlsrecord"
)

// Result is what a handshake has come to. The caller owns all of it.
type Result struct {
	Layer *tlsrecord.Layer // goes on where crypto/tls has stopped
	Rest  []byte           // what has come behind the handshake, as received

	Version          uint16 // tls.VersionTLS12 or tls.VersionTLS13
	CipherSuite      uint16
	ALPN             string              // the protocol agreed on, or empty
	ServerName       string              // that the client asked for, or empty
	PeerCertificates []*x509.Certificate // the client's, its own first, or nil; verified as the Config says
	Resumed          bool                // by a ticket
}

// finish makes the record layer that goes on after a handshake that crypto/tls has done.
func (h *Handshake) finish(state tls.ConnectionState) (*Result, error) {
	var layer *tlsrecord.Layer
	var err error
	switch state.Version {
	case tls.VersionTLS13:
		layer, err = h.layer13(state)
	case tls.VersionTLS12:
		layer, err = h.layer12(state)
	default:
		err = internal("version %#x", state.Version)
	}
	if err != nil {
		return nil, err
	}
	return &Result{
		Layer:            layer,
		Version:          state.Version,
		CipherSuite:      state.CipherSuite,
		ALPN:             state.NegotiatedProtocol,
		ServerName:       state.ServerName,
		PeerCertificates: state.PeerCertificates,
		Resumed:          state.DidResume,
	}, nil
}

// layer13 goes on after TLS 1.3. With the client's Finished its application key begins,
// and crypto/tls leaves nothing of a record behind it. With the server's Finished ours
// begins; all that crypto/tls has sealed with it is tickets.
func (h *Handshake) layer13(state tls.ConnectionState) (*tlsrecord.Layer, error) {
	s := &h.secrets
	tickets := s.ticketRecords
	layer, err := tlsrecord.NewTLS13(tlsrecord.Server, state.CipherSuite, s.client.value(), s.server.value(), 0, tickets)
	if err != nil {
		return nil, internal("%v", err)
	}
	checked := layer
	if tickets == 0 {
		// The last record is of the key before: Finished.
		checked, err = tlsrecord.NewTLS13(tlsrecord.Server, state.CipherSuite, s.clientHandshake.value(), s.serverHandshake.value(), 0, h.conn.seen.wrote.application)
		if err != nil {
			return nil, internal("%v", err)
		}
		defer checked.Wipe()
	}
	if !checked.Opens(h.conn.seen.last) {
		layer.Wipe()
		return nil, errLastRecord
	}
	return layer, nil
}

// layer12 goes on after TLS 1.2, where one key per direction serves from ChangeCipherSpec
// on: for Finished, then for the application.
func (h *Handshake) layer12(state tls.ConnectionState) (*tlsrecord.Layer, error) {
	seen := &h.conn.seen
	master := &h.secrets.master
	if state.DidResume {
		master = &h.secrets.resumed
	}
	client, ok := seen.read.helloRandom(messageClientHello)
	server, ok2 := seen.wrote.helloRandom(messageServerHello)
	if !ok || !ok2 {
		return nil, internal("no random in a hello")
	}
	layer, err := tlsrecord.NewTLS12(tlsrecord.Server, state.CipherSuite, master.value(), client, server, seen.read.sealed, seen.wrote.sealed)
	if err != nil {
		return nil, internal("%v", err)
	}
	if !layer.Opens(seen.last) {
		layer.Wipe()
		return nil, errLastRecord
	}
	if seen.read.finished != finishedLength+seen.read.handshakes*overhead12(state.CipherSuite) {
		// Another message begins there, which is lost in crypto/tls.
		_ = h.put(layer.Alert(nil, alertUnexpectedMessage)) // abandoned: nobody reads it
		layer.Wipe()
		return nil, &Error{Reason: Malformed, text: "a handshake message in one record with Finished"}
	}
	return layer, nil
}

const (
	finishedLength         = helloHeader + 12 // RFC 5246, section 7.4.9
	alertUnexpectedMessage = 10
)

// overhead12 is what sealing adds to a record of TLS 1.2: the tag, and with GCM eight
// bytes of nonce (RFC 5288, section 3; RFC 7905, section 2).
func overhead12(suite uint16) int {
	switch suite {
	case tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:
		return 16
	}
	return 8 + 16
}

// errLastRecord: better no connection than one that goes on with a wrong sequence number.
var errLastRecord = internal("the last record that crypto/tls has sent is not the one that was expected: does this release of Go send others?")
