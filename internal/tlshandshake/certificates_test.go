package tlshandshake

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"sync"
	"time"
)

// authority issues certificates for tests.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// Made once: keys take time.
var (
	ecdsaKey    = sync.OnceValue(func() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	rsaKey      = sync.OnceValue(func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ed25519Key  = sync.OnceValue(func() crypto.Signer { _, key, err := ed25519.GenerateKey(rand.Reader); return must(key, err) })
	root        = sync.OnceValue(func() *authority { return newAuthority("root") })
	anotherRoot = sync.OnceValue(func() *authority { return newAuthority("another root") })
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: must(rand.Int(rand.Reader, big.NewInt(1<<62))),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
}

func newAuthority(name string) *authority { return newIntermediate(nil, name) }

// newIntermediate returns an authority that another one vouches for, or nil: itself.
func newIntermediate(by *authority, name string) *authority {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	t := template(name)
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign
	if by == nil {
		by = &authority{t, key}
	}
	der := must(x509.CreateCertificate(rand.Reader, t, by.certificate, key.Public(), by.key))
	return &authority{must(x509.ParseCertificate(der)), key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.certificate)
	return p
}

// issue returns a certificate for a name, for servers and clients alike.
func (a *authority) issue(name string, key crypto.Signer, change ...func(*x509.Certificate)) tls.Certificate {
	t := template(name)
	t.DNSNames = []string{name}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, c := range change {
		c(t)
	}
	der := must(x509.CreateCertificate(rand.Reader, t, a.certificate, key.Public(), a.key))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: must(x509.ParseCertificate(der))}
}

// serverConfig is a server's with a certificate for example.com.
func serverConfig(key crypto.Signer) *tls.Config {
	c := &tls.Config{Certificates: []tls.Certificate{root().issue("example.com", key)}}
	c.SetSessionTicketKeys([][32]byte{{1}})
	return c
}

// clientConfig is that of a client of example.com, for one version.
func clientConfig(version uint16) *tls.Config {
	return &tls.Config{RootCAs: root().pool(), ServerName: "example.com", MinVersion: version, MaxVersion: version}
}

// smallHello is clientConfig with a key exchange whose hello is small, and which takes
// little time.
func smallHello(version uint16) *tls.Config {
	c := clientConfig(version)
	c.CurvePreferences = []tls.CurveID{tls.X25519}
	return c
}
