// Package credentials is what a server proves itself with: certificates, their keys and
// OCSP answers, the CAs that its clients' certificates are verified against, and the keys
// that its session tickets are sealed with.
//
//	files ──Load──► Credentials ──Encode──► bytes in a sealed memfd ──Decode──► Credentials ──Config──► *tls.Config
//	        master                                                     worker
//
// The master reads the files, checks them, and passes on what it has read; workers need no
// right to read a key. Nothing here does more I/O than to read the files that it is told
// to, and nothing has a goroutine.
//
// What is secret never leaves by accident: String and Format of every type, JSON, log/slog
// and the errors show none of it.
package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"time"
)

// Files are what an operator names. Certs and Keys are pairs, by their places in the two
// lists; the first pair is the default. The zero value names nothing.
type Files struct {
	Certs      []string // PEM: a certificate, then those of its issuers
	Keys       []string // PEM: the private key of the certificate at the same place
	ClientCA   string   // PEM: the CAs of which clients must show a certificate; empty: they need none
	OCSP       []string // DER: an OCSP answer each (RFC 6960), about one of Certs
	TicketKeys string   // base64 lines: see LoadTicketKeys; empty: the server makes its own
	MinVersion string   // of TLS: 1.2 or 1.3; empty: 1.2
}

// Credentials are all that a server proves itself with, checked. They do not change, and
// any number of goroutines may use them.
type Credentials struct {
	certificates []*certificate // the first is the default
	clientCAs    []*x509.Certificate
	clientCAPool *x509.CertPool // of clientCAs; nil: clients need no certificate
	caHash       [8]byte        // of clientCAs
	minVersion   uint16
}

// certificate is one with its key.
type certificate struct {
	file string // where it was read; empty in a worker
	tls  tls.Certificate
}

// CertificateInfo is what anybody may know of a certificate.
type CertificateInfo struct {
	File     string    // where it was read; empty in a worker
	Names    []string  // those that SNI may pick it by, and its IP addresses
	NotAfter time.Time // when it expires
}
