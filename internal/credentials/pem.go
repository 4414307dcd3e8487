package credentials

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
)

var (
	pemBegin      = []byte("-----BEGIN ")
	byteOrderMark = []byte("\xef\xbb\xbf") // U+FEFF in UTF-8
)

// pemBlocks returns the blocks of a file, all of which must be whole.
func pemBlocks(setting, path string, data []byte) ([]*pem.Block, error) {
	begun := bytes.Count(data, pemBegin)
	if begun == 0 {
		problem := "is not PEM, which has a line -----BEGIN"
		if data[0] == 0x30 { // a SEQUENCE
			problem += "; openssl x509 -in FILE makes it of a certificate in DER, openssl pkey -in FILE of a key, and openssl pkcs12 -nodes -in FILE of both in PKCS #12"
		}
		return nil, &Error{setting, path, problem}
	}
	var blocks []*pem.Block
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		blocks = append(blocks, block)
	}
	if bytes.HasPrefix(data, byteOrderMark) {
		return nil, &Error{setting, path, "begins with a byte order mark, as some editors write; take it out: sed -i '1s/^\\xEF\\xBB\\xBF//' FILE"}
	}
	if len(blocks) < begun {
		return nil, &Error{setting, path, fmt.Sprintf("of its %d blocks, which begin with -----BEGIN, %d cannot be read; is the file cut off or damaged?", begun, begun-len(blocks))}
	}
	return blocks, nil
}

// readCertificates returns the certificates of a PEM file, one at least.
func readCertificates(setting, path string) ([]*x509.Certificate, error) {
	data, err := read(setting, path)
	if err != nil {
		return nil, err
	}
	defer clear(data) // it may hold a key besides
	blocks, err := pemBlocks(setting, path, data)
	if err != nil {
		return nil, err
	}
	var certificates []*x509.Certificate
	others := ""
	for _, block := range blocks {
		if block.Type != "CERTIFICATE" {
			others = block.Type
			clear(block.Bytes)
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, &Error{setting, path, fmt.Sprintf("its certificate %d cannot be read: %v; copy it anew or, if it is whole, ask for one of ECDSA P-256 or RSA 2048", len(certificates)+1, err)}
		}
		certificates = append(certificates, certificate)
	}
	if len(certificates) == 0 {
		return nil, &Error{setting, path, noCertificate(setting, others)}
	}
	return certificates, nil
}

// noCertificate says what is in a file in the place of a certificate.
func noCertificate(setting, found string) string {
	switch {
	case strings.HasSuffix(found, "PRIVATE KEY") && setting == settingCert:
		return "holds a private key and no certificate; are tls-cert and tls-key in each other's place?"
	case strings.HasSuffix(found, "CERTIFICATE REQUEST"):
		return "holds a request for a certificate; name the certificate that a CA makes of it"
	}
	return fmt.Sprintf("holds no CERTIFICATE, but a %s", found)
}
