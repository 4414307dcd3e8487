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
// and the errors show none of it. What holds it has pointers to it, so that it does not
// show as a part of another value either. Processes of the same user can read it in memory.
package credentials

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"
)

// Credentials are all that a server proves itself with, checked. They do not change, and
// any number of goroutines may use them. The zero value has none.
type Credentials struct {
	certificates []*certificate // the first is the default
	byName       names
	clientCAs    []*x509.Certificate
	clientCAPool *x509.CertPool // of clientCAs; nil: clients need no certificate
	caHash       [8]byte        // of clientCAs
	minVersion   uint16         // of TLS
}

// newCredentials puts together what was checked.
func newCredentials(certificates []*certificate, clientCAs []*x509.Certificate, minVersion uint16) *Credentials {
	c := &Credentials{
		certificates: certificates, byName: newNames(certificates),
		clientCAs: clientCAs, caHash: hashOf(clientCAs), minVersion: minVersion,
	}
	if len(clientCAs) > 0 {
		c.clientCAPool = x509.NewCertPool()
		for _, ca := range clientCAs {
			c.clientCAPool.AddCert(ca)
		}
	}
	return c
}

// CertificateInfo is what anybody may know of a certificate.
type CertificateInfo struct {
	File     string    // where it was read
	Names    []string  // those that SNI may pick it by, then its IP addresses
	NotAfter time.Time // when it expires, in UTC
}

// Certificates says what anybody may know of each certificate, the default first.
func (c *Credentials) Certificates() []CertificateInfo {
	infos := make([]CertificateInfo, len(c.certificates))
	for i, one := range c.certificates {
		infos[i] = CertificateInfo{File: one.file, Names: namesOf(one.leaf()), NotAfter: one.leaf().NotAfter.UTC()}
	}
	return infos
}

// Has reports whether a certificate is for name, a DNS name or an IP address: whether
// ?cert= may name it.
func (c *Credentials) Has(name string) bool { return len(c.byName.find(name)) > 0 }

// CAHash tells the client CAs from others; the zero value: clients need no certificate. The
// order of the CAs does not count.
func (c *Credentials) CAHash() [8]byte { return c.caHash }

func hashOf(clientCAs []*x509.Certificate) (short [8]byte) {
	if len(clientCAs) == 0 {
		return short
	}
	var each [][]byte
	for _, ca := range clientCAs {
		hash := sha256.Sum256(ca.Raw)
		each = append(each, hash[:])
	}
	slices.SortFunc(each, slices.Compare)
	all := sha256.New()
	for _, hash := range slices.CompactFunc(each, slices.Equal) {
		all.Write(hash)
	}
	copy(short[:], all.Sum(nil))
	short[7] |= 1 // it is never zero
	return short
}

// VerifyClient verifies the certificates that a client has shown, its own first, as a
// handshake would now: nil if clients need none. It is for a connection whose handshake
// was with other CAs.
func (c *Credentials) VerifyClient(chain []*x509.Certificate) error {
	if c.clientCAPool == nil {
		return nil
	}
	if len(chain) == 0 {
		return errors.New("credentials: verify client: it has shown no certificate")
	}
	options := x509.VerifyOptions{
		Roots: c.clientCAPool, Intermediates: x509.NewCertPool(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, issuer := range chain[1:] {
		options.Intermediates.AddCert(issuer)
	}
	if _, err := chain[0].Verify(options); err != nil {
		return fmt.Errorf("credentials: verify client: %w", err)
	}
	return nil
}

// String says how many there are of what.
func (c *Credentials) String() string {
	if c == nil {
		return "no credentials"
	}
	return fmt.Sprintf("credentials of %d certificates and %d client CAs", len(c.certificates), len(c.clientCAs))
}

// Format writes String, whatever the verb is.
func (c *Credentials) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, c.String()) } // fmt's buffer does not fail

// LogValue is String, for log/slog.
func (c *Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }
