package credentials

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"time"
)

// certificate is one with its key, and may have an OCSP answer.
type certificate struct {
	file       string           // where it was read
	pair       *tls.Certificate // its chain, and its leaf parsed; without an OCSP answer
	stapled    *tls.Certificate // the same with one; nil: there is none
	stapleEnds time.Time        // when the answer expires; zero: never
}

func (c *certificate) leaf() *x509.Certificate { return c.pair.Leaf }

// at returns what a handshake is given: an OCSP answer that has expired is worse than none.
func (c *certificate) at(now time.Time) *tls.Certificate {
	if c.stapled != nil && (c.stapleEnds.IsZero() || now.Before(c.stapleEnds)) {
		return c.stapled
	}
	return c.pair
}

// newCertificate puts a certificate and its key together. chain has the certificate first.
func newCertificate(file string, chain []*x509.Certificate, key crypto.Signer) *certificate {
	pair := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, link := range chain {
		pair.Certificate = append(pair.Certificate, link.Raw)
	}
	return &certificate{file: file, pair: pair}
}

// belongs reports whether a key is the one of a certificate.
func belongs(key crypto.Signer, leaf *x509.Certificate) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(leaf.PublicKey)
}

// minRSA is the shortest RSA key that package crypto/rsa signs with, and goodRSA the
// shortest that all clients take, in bits.
const (
	minRSA  = 1024
	goodRSA = 2048
)

// unusable says why crypto/tls cannot use a public key; empty: it can.
func unusable(key crypto.PublicKey) string {
	const advice = "; ask for one of ECDSA P-256 or RSA 2048"
	switch key := key.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSA {
			return fmt.Sprintf("is an RSA key of %d bits, which Go does not sign with: %d are the least", key.N.BitLen(), minRSA) + advice
		}
		return ""
	case *ecdsa.PublicKey:
		if !slices.Contains([]elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}, key.Curve) {
			return fmt.Sprintf("is an ECDSA key on the curve %s, which Go's crypto/tls cannot use", key.Curve.Params().Name) + advice
		}
		return ""
	case ed25519.PublicKey:
		return ""
	}
	return "is a key of a kind that Go's crypto/tls cannot use" + advice
}

// pairs reads all certificates and their keys.
func (l *loader) pairs(f Files) ([]*certificate, error) {
	chains := make([][]*x509.Certificate, len(f.Certs))
	for i, file := range f.Certs {
		chain, err := readCertificates(settingCert, file)
		if err == nil {
			err = l.checkChain(file, chain)
		}
		if err != nil {
			return nil, err
		}
		chains[i] = chain
	}
	certificates := make([]*certificate, len(f.Certs))
	for i, file := range f.Keys {
		key, err := l.readKey(file)
		if err != nil {
			return nil, err
		}
		if !belongs(key, chains[i][0]) {
			return nil, &Error{settingKey, file, f.whose(key, chains, i)}
		}
		certificates[i] = newCertificate(f.Certs[i], chains[i], key)
	}
	l.warnOfHidden(certificates)
	return certificates, nil
}

// warnOfHidden warns of certificates that no client is given, since all their names are
// those of another before them with a key of the same kind.
func (l *loader) warnOfHidden(certificates []*certificate) {
	kind := func(c *certificate) string {
		if key, is := c.leaf().PublicKey.(*ecdsa.PublicKey); is {
			return key.Curve.Params().Name
		}
		return c.leaf().PublicKeyAlgorithm.String()
	}
	first := make(map[string]*certificate) // by kind and name
	for _, one := range certificates {
		var hides *certificate
		shown := false
		for _, name := range namesOf(one.leaf()) {
			key := kind(one) + " " + lower(name)
			if other := first[key]; other == nil || other == one {
				first[key], shown = one, true
			} else {
				hides = other
			}
		}
		if hides != nil && !shown {
			l.warn(settingCert, one.file, "no client is given it: its names are those of %s, which is before it and has a key of the same kind", hides.file)
		}
	}
}

// whose says what a key is of, which is not that of the certificate at the same place.
func (f *Files) whose(key crypto.Signer, chains [][]*x509.Certificate, place int) string {
	for i, chain := range chains {
		if j := slices.IndexFunc(chain, func(link *x509.Certificate) bool { return belongs(key, link) }); j > 0 {
			return fmt.Sprintf("is the key of certificate %d in %s, which must be the first there", j+1, f.Certs[i])
		} else if j == 0 {
			return fmt.Sprintf("is the key of %s, and is in the place of that of %s; they are pairs, by their places", f.Certs[i], f.Certs[place])
		}
	}
	return fmt.Sprintf("is not the key of %s; name the one that it was made with, or have a certificate made for this one", f.Certs[place])
}

// checkChain refuses a certificate that no handshake can be done with, and warns of what
// some client may refuse.
func (l *loader) checkChain(file string, chain []*x509.Certificate) error {
	leaf := chain[0]
	if leaf.PublicKey == nil || leaf.PublicKeyAlgorithm == x509.DSA {
		return &Error{settingCert, file, "its key is of the kind " + kindOfKey(leaf.RawSubjectPublicKeyInfo) + ", which Go's crypto/tls cannot use; ask for one of ECDSA P-256 or RSA 2048"}
	}
	if problem := unusable(leaf.PublicKey); problem != "" {
		return &Error{settingCert, file, "its key " + problem}
	}
	if err := l.checkTime(settingCert, file, "", leaf); err != nil {
		return err
	}
	if key, is := leaf.PublicKey.(*rsa.PublicKey); is && key.N.BitLen() < goodRSA {
		l.warn(settingCert, file, "its RSA key has %d bits; clients refuse less than %d", key.N.BitLen(), goodRSA)
	}
	if len(namesOf(leaf)) == 0 {
		l.warn(settingCert, file, "has no name that clients look at (subjectAltName)")
	}
	if len(leaf.ExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		l.warn(settingCert, file, "is not for servers (extended key usage); clients may refuse it")
	}
	if len(chain) == 1 && len(leaf.IssuingCertificateURL) > 0 {
		l.warn(settingCert, file, "has no certificate of its issuer, without which many clients refuse it; is there a fullchain.pem?")
	}
	for i, link := range chain[1:] {
		if !bytes.Equal(chain[i].RawIssuer, link.RawSubject) {
			l.warn(settingCert, file, "its certificate %d is not the issuer of certificate %d; clients may refuse it", i+2, i+1)
		}
		if l.now.After(link.NotAfter) {
			l.warn(settingCert, file, "its certificate %d, of an issuer, expired on %s; clients may refuse it", i+2, day(link.NotAfter))
		}
	}
	return nil
}

// checkTime refuses a certificate that is not valid, and warns of one that will not be
// for long. which says which one of the file it is; empty: there is one.
func (l *loader) checkTime(setting, file, which string, certificate *x509.Certificate) error {
	switch {
	case l.now.After(certificate.NotAfter):
		return &Error{setting, file, fmt.Sprintf("%sexpired on %s; renew it", which, day(certificate.NotAfter))}
	case l.now.Before(certificate.NotBefore):
		return &Error{setting, file, fmt.Sprintf("%sis not valid before %s; wait until then, or set this machine's clock", which, day(certificate.NotBefore))}
	case certificate.NotAfter.Sub(l.now) < soon:
		l.warn(setting, file, "%sexpires on %s, in %d days", which, day(certificate.NotAfter), int(certificate.NotAfter.Sub(l.now)/(24*time.Hour)))
	}
	return nil
}
