package credentials

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// FromPairs puts together what a program has in memory: certificates with their keys, the
// default first; the CAs of which clients must show a certificate, none if they need none;
// and the least version of TLS, 0 for 1.2. It checks what Decode does, and no dates: it is
// for tests, one of which may want a certificate that has expired.
func FromPairs(pairs []tls.Certificate, clientCAs []*x509.Certificate, minVersion uint16) (*Credentials, error) {
	if minVersion == 0 {
		minVersion = tls.VersionTLS12
	}
	switch {
	case minVersion != tls.VersionTLS12 && minVersion != tls.VersionTLS13:
		return nil, fmt.Errorf("credentials: the least version is %s, want TLS 1.2 or 1.3", tls.VersionName(minVersion))
	case len(pairs) == 0:
		return nil, errors.New("credentials: there is no certificate")
	}
	certificates := make([]*certificate, len(pairs))
	for i := range pairs {
		var err error
		if certificates[i], err = fromPair(&pairs[i]); err != nil {
			return nil, fmt.Errorf("credentials: certificate %d: %w", i+1, err)
		}
	}
	return newCredentials(certificates, clientCAs, minVersion), nil
}

func fromPair(pair *tls.Certificate) (*certificate, error) {
	switch pair.PrivateKey.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
	default: // one that stays in some device, or none
		return nil, fmt.Errorf("its key is a %T, which cannot be passed on", pair.PrivateKey)
	}
	return checkPair(pair.Certificate, pair.PrivateKey.(crypto.Signer), pair.OCSPStaple)
}
