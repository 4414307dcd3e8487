package credentials

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"strings"
)

// readKey returns the private key of a PEM file. No error tells what is in it: only of
// which kind it is.
func (l *loader) readKey(file string) (crypto.Signer, error) {
	data, err := l.readSecret(settingKey, file)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	blocks, err := pemBlocks(settingKey, file, data)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, block := range blocks {
			clear(block.Bytes)
		}
	}()
	others := ""
	for _, block := range blocks {
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			others = block.Type
			continue
		}
		key, problem := parseKey(block)
		if problem != "" {
			return nil, &Error{settingKey, file, problem}
		}
		return key, nil
	}
	if others == "CERTIFICATE" {
		return nil, &Error{settingKey, file, "holds a certificate and no private key; are tls-cert and tls-key in each other's place?"}
	}
	return nil, &Error{settingKey, file, fmt.Sprintf("holds no PRIVATE KEY, but a %s", others)}
}

// parseKey returns the key of a PEM block, or what is wrong with it.
func parseKey(block *pem.Block) (key crypto.Signer, problem string) {
	switch {
	case block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		return nil, "is encrypted with a passphrase, for which a server cannot ask; decrypt it: openssl pkey -in FILE -out FILE.plain, which is to be its owner's alone (chmod 600)"
	case block.Type == "OPENSSH PRIVATE KEY":
		return nil, "is in the format of OpenSSH; make it PEM, in its place: ssh-keygen -p -m PKCS8 -f FILE"
	}
	parsed, err := parseKeyDER(block.Bytes)
	if err != nil {
		if kind := kindOfPrivateKey(block); kind != "" {
			return nil, "is a key of the kind " + kind + ", which Go's crypto/tls cannot use; use one of ECDSA P-256 or RSA 2048"
		}
		return nil, "its private key cannot be read; is it damaged?"
	}
	if _, exchange := parsed.(*ecdh.PrivateKey); exchange {
		return nil, "is a key of the kind X25519, which cannot sign; use one of ECDSA P-256 or RSA 2048"
	}
	key = parsed.(crypto.Signer) // as all others that package x509 returns
	return key, unusable(key.Public())
}

// parseKeyDER reads PKCS #8, PKCS #1 or SEC 1, as crypto/tls does.
func parseKeyDER(der []byte) (any, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	return x509.ParseECPrivateKey(der)
}

// marshalKey returns a key as PKCS #8, which the caller wipes.
func marshalKey(key crypto.PrivateKey) []byte {
	switch key.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
		if der, err := x509.MarshalPKCS8PrivateKey(key); err == nil {
			return der
		}
	}
	panic(fmt.Sprintf("credentials: a %T was taken for a key that can be marshalled", key))
}

// otherKinds are kinds of keys that there are, and that crypto/tls cannot use, by their
// object identifiers; and curves of ECDSA likewise.
var otherKinds = map[string]string{
	"1.2.840.113549.1.1.10":   "RSA-PSS",
	"1.2.840.10040.4.1":       "DSA",
	"1.3.101.110":             "X25519",
	"1.3.101.111":             "X448",
	"1.3.101.113":             "Ed448",
	"2.16.840.1.101.3.4.3.17": "ML-DSA-44",
	"2.16.840.1.101.3.4.3.18": "ML-DSA-65",
	"2.16.840.1.101.3.4.3.19": "ML-DSA-87",
	"1.3.132.0.10":            "ECDSA on the curve secp256k1",
	"1.3.36.3.3.2.8.1.1.7":    "ECDSA on the curve brainpoolP256r1",
	"1.3.36.3.3.2.8.1.1.11":   "ECDSA on the curve brainpoolP384r1",
	"1.3.36.3.3.2.8.1.1.13":   "ECDSA on the curve brainpoolP512r1",
	"1.2.156.10197.1.301":     "SM2",
}

// ecdsaKey is the object identifier of keys that have a curve for a parameter (RFC 5480).
const ecdsaKey = "1.2.840.10045.2.1"

// kindOfKey names the kind of a public key (SubjectPublicKeyInfo, RFC 5280, section 4.1).
func kindOfKey(spki []byte) string {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(spki, &info); err != nil {
		return "that nobody can tell"
	}
	if kind := kindOfAlgorithm(info.Algorithm); kind != "" {
		return kind
	}
	return info.Algorithm.Algorithm.String()
}

// kindOfPrivateKey names the kind of a private key that is not known to package x509, or
// returns nothing, if it is one that is.
func kindOfPrivateKey(block *pem.Block) string {
	switch block.Type {
	case "DSA PRIVATE KEY":
		return "DSA"
	case "EC PRIVATE KEY":
		var key struct { // ECPrivateKey, RFC 5915
			Version int
			Secret  []byte
			Curve   asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
		}
		_, _ = asn1.Unmarshal(block.Bytes, &key) // what cannot be read has no curve
		clear(key.Secret)
		return otherKinds[key.Curve.String()]
	}
	var key struct { // OneAsymmetricKey, RFC 5958; what follows does not matter
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Secret    []byte
	}
	_, _ = asn1.Unmarshal(block.Bytes, &key) // what cannot be read is of no kind
	clear(key.Secret)
	return kindOfAlgorithm(key.Algorithm)
}

// kindOfAlgorithm names the kind of a key that crypto/tls cannot use, or returns nothing.
func kindOfAlgorithm(algorithm pkix.AlgorithmIdentifier) string {
	oid := algorithm.Algorithm.String()
	if oid != ecdsaKey {
		return otherKinds[oid]
	}
	var curve asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(algorithm.Parameters.FullBytes, &curve); err != nil {
		return "ECDSA on a curve without a name"
	}
	return otherKinds[curve.String()]
}
