// Package certtest makes certificates for tests: a CA, and what it issues. It is for tests
// alone.
package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Pair is a certificate with its key, and those of its issuers.
type Pair struct {
	Chain []*x509.Certificate // its own first; without the root
	Key   crypto.Signer
}

// CA is what issues. Its certificate, a root, is the only one of its Chain.
type CA struct{ Pair }

// Want is what a certificate is to be. The zero value is one of a server, for no name,
// which is valid from an hour ago for 90 days, with a key of ECDSA P-256.
type Want struct {
	Names     []string      // DNS names, and IP addresses
	Key       crypto.Signer // nil: a new one
	NotBefore time.Time
	NotAfter  time.Time
	Client    bool                         // it is for a client
	Change    func(cert *x509.Certificate) // whatever else; nil: nothing
}

var serials atomic.Int64

// NewCA makes a CA.
func NewCA(t testing.TB, name string) *CA {
	t.Helper()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true, IsCA: true,
	}
	key := ECDSA(t)
	cert := create(t, template, Want{Key: key}, nil)
	return &CA{Pair{[]*x509.Certificate{cert}, key}}
}

// Intermediate makes a CA that this one has issued; its own Chain has one certificate, and
// those of what it issues have two.
func (ca *CA) Intermediate(t testing.TB, name string) *CA {
	t.Helper()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true, IsCA: true,
	}
	key := ECDSA(t)
	return &CA{Pair{[]*x509.Certificate{create(t, template, Want{Key: key}, ca)}, key}}
}

// Issue makes a certificate.
func (ca *CA) Issue(t testing.TB, want Want) *Pair {
	t.Helper()
	template := &x509.Certificate{KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if want.Client {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	template.Subject.CommonName = "issued"
	if len(want.Names) > 0 {
		template.Subject.CommonName = want.Names[0]
	}
	for _, name := range want.Names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	if want.Key == nil {
		want.Key = ECDSA(t)
	}
	pair := &Pair{[]*x509.Certificate{create(t, template, want, ca)}, want.Key}
	if !isRoot(ca.Chain[0]) {
		pair.Chain = append(pair.Chain, ca.Chain[0])
	}
	return pair
}

func isRoot(cert *x509.Certificate) bool { return cert.Issuer.String() == cert.Subject.String() }

// create makes a certificate of a template, which issuer signs; nil: it signs itself.
func create(t testing.TB, template *x509.Certificate, want Want, issuer *CA) *x509.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano() + serials.Add(1))
	template.NotBefore, template.NotAfter = want.NotBefore, want.NotAfter
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(90 * 24 * time.Hour)
	}
	if want.Change != nil {
		want.Change(template)
	}
	parent, signer := template, want.Key
	if issuer != nil {
		parent, signer = issuer.Chain[0], issuer.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, want.Key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// ECDSA makes a key on the curve P-256.
func ECDSA(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var oneRSA = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// RSA returns a key of 2048 bits, which takes a while to make: all get the same one.
func RSA(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := oneRSA()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// CertPEM is the chain as PEM.
func (p *Pair) CertPEM() []byte {
	var text []byte
	for _, cert := range p.Chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	return text
}

// KeyPEM is the key as PEM (PKCS #8).
func (p *Pair) KeyPEM(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(p.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Write writes the pair into a folder, as NAME.pem and NAME-key.pem, and returns their
// paths.
func (p *Pair) Write(t testing.TB, dir, name string) (cert, key string) {
	t.Helper()
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem")
	for path, text := range map[string][]byte{cert: p.CertPEM(), key: p.KeyPEM(t)} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// TLS is the pair as package crypto/tls takes it.
func (p *Pair) TLS() tls.Certificate {
	pair := tls.Certificate{PrivateKey: p.Key, Leaf: p.Chain[0]}
	for _, cert := range p.Chain {
		pair.Certificate = append(pair.Certificate, cert.Raw)
	}
	return pair
}

// Pool has the CA alone, to verify by.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.Chain[0])
	return pool
}
