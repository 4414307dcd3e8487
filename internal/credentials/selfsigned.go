package credentials

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"regexp"
	"strings"
	"time"
)

// selfSignedFor is how long a certificate of SelfSigned is valid: clients of Apple take
// none that is for longer than 825 days.
const selfSignedFor = 365 * 24 * time.Hour

// SelfSigned makes a certificate for names, DNS names and IP addresses, which no CA has
// signed, and its key, of ECDSA P-256, as PEM. The caller wipes the key. It is for trying:
// clients have to be told to trust it, and may then trust its key for nothing else.
func SelfSigned(names []string, now time.Time) (cert, key []byte, err error) {
	template := &x509.Certificate{
		Subject:   pkix.Name{Organization: []string{"usher, self-signed for trying"}},
		NotBefore: now.Add(-time.Hour).UTC(), NotAfter: now.Add(selfSignedFor).UTC(),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		// It is no CA: who trusts it trusts this one server.
		BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if dnsName.MatchString(name) && len(name) <= 253 {
			template.DNSNames = append(template.DNSNames, name)
		} else {
			return nil, nil, fmt.Errorf("%q is no name for a certificate: want one such as example.com or *.example.com, or an IP address", name)
		}
	}
	if len(names) == 0 {
		return nil, nil, errors.New("a certificate is for one name at least")
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, nil, err
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	keyDER := marshalKey(private)
	defer clear(keyDER)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}

// dnsName is a name of letters, digits and hyphens, with a * in the place of the first label.
var dnsName = regexp.MustCompile(`^(\*\.)?` + strings.Replace(`LABEL(\.LABEL)*$`, "LABEL", `[0-9A-Za-z_]([0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?`, 2))
