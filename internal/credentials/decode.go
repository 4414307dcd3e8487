package credentials

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Decode is the reverse of Encode. It checks all that Load does but dates, which the
// master has looked at, and keeps nothing of the message, which the caller wipes.
func Decode(message []byte) (*Credentials, *TicketKeys, error) {
	var m decoded
	err := m.decode(message)
	switch {
	case err != nil:
	case m.minVersion == 0:
		err = errors.New("there is no version of TLS")
	case len(m.certificates) == 0:
		err = errors.New("there is no certificate")
	case m.keys == nil:
		err = errors.New("there are no ticket keys")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("credentials: decode: %w", err)
	}
	return newCredentials(m.certificates, m.clientCAs, m.minVersion), m.keys, nil
}

// DecodeTicketKeys is the reverse of EncodeTicketKeys. It keeps nothing of the message,
// which the caller wipes.
func DecodeTicketKeys(message []byte) (*TicketKeys, error) {
	var m decoded
	err := m.decode(message)
	switch {
	case err != nil:
	case m.keys == nil:
		err = errors.New("there are none")
	case m.minVersion != 0 || len(m.certificates) > 0 || len(m.clientCAs) > 0:
		err = errors.New("there is more than those")
	}
	if err != nil {
		return nil, fmt.Errorf("credentials: decode ticket keys: %w", err)
	}
	return m.keys, nil
}

// decoded is what a message says.
type decoded struct {
	minVersion   uint16
	certificates []*certificate
	clientCAs    []*x509.Certificate
	keys         *TicketKeys
	files        int // of certificates that are named
}

func (m *decoded) decode(message []byte) error {
	if len(message) > MaxEncoded {
		return fmt.Errorf("%d bytes, at most %d", len(message), MaxEncoded)
	}
	rest, found := bytes.CutPrefix(message, []byte(magic))
	if !found {
		return errors.New("no message of this version")
	}
	for len(rest) > 0 {
		kind := rest[0]
		var contents []byte
		var err error
		if contents, rest, err = cutField(rest[1:]); err != nil {
			return err
		}
		if err := m.section(kind, contents); err != nil {
			return fmt.Errorf("section of kind %d: %w", kind, err)
		}
	}
	return nil
}

func (m *decoded) section(kind byte, contents []byte) (err error) {
	switch {
	case kind == sectionMinVersion:
		if len(contents) != 2 || m.minVersion != 0 {
			return errors.New("not one version")
		}
		m.minVersion = binary.BigEndian.Uint16(contents)
		if m.minVersion != tls.VersionTLS12 && m.minVersion != tls.VersionTLS13 {
			return fmt.Errorf("version %#04x of TLS", m.minVersion)
		}
	case kind == sectionPair:
		one, err := decodePair(contents)
		if err != nil {
			return fmt.Errorf("pair %d: %w", len(m.certificates)+1, err)
		}
		m.certificates = append(m.certificates, one)
	case kind == sectionClientCA:
		ca, err := x509.ParseCertificate(bytes.Clone(contents))
		if err != nil {
			return err
		}
		m.clientCAs = append(m.clientCAs, ca)
	case kind == sectionTicketKeys:
		if m.keys != nil {
			return errors.New("again")
		}
		m.keys, err = decodeTicketKeys(contents)
		return err
	case kind == sectionFile:
		if m.files == len(m.certificates) || len(contents) > maxPath {
			return errors.New("not one path for each pair")
		}
		m.certificates[m.files].file = string(contents)
		m.files++
	case kind&sectionMayBeUnknown == 0:
		return errors.New("not known to this program; build it with a later version")
	}
	return nil
}

// maxPath is how long a path may be (PATH_MAX).
const maxPath = 4096

// decodePair reads a certificate with its key and OCSP answer.
func decodePair(b []byte) (*certificate, error) {
	keyDER, b, err := cutField(b)
	if err != nil {
		return nil, err
	}
	answer, b, err := cutField(b)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(keyDER)
	key, signs := parsed.(crypto.Signer)
	if err != nil || !signs {
		return nil, errors.New("its private key cannot be read")
	}
	var chain [][]byte
	for len(b) > 0 {
		var der []byte
		if der, b, err = cutField(b); err != nil {
			return nil, err
		}
		chain = append(chain, bytes.Clone(der))
	}
	return checkPair(chain, key, answer)
}

// checkPair puts a certificate, its key and its OCSP answer together, and checks all but
// dates. It keeps the chain, and a copy of the answer, which may be empty.
func checkPair(chain [][]byte, key crypto.Signer, answer []byte) (*certificate, error) {
	if problem := unusable(key.Public()); problem != "" {
		return nil, errors.New("its key " + problem)
	}
	var links []*x509.Certificate
	for _, der := range chain {
		link, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		links = append(links, link)
	}
	if len(links) == 0 || !belongs(key, links[0]) {
		return nil, errors.New("the key is not the certificate's")
	}
	one := newCertificate("", links, key)
	return one, one.restoreStaple(answer)
}

// restoreStaple sets an OCSP answer that the master has checked. One that has expired
// since is left out.
func (c *certificate) restoreStaple(answer []byte) error {
	if len(answer) == 0 {
		return nil
	}
	answer = bytes.Clone(answer)
	ends, err := c.checkStaple(answer, time.Now())
	if _, early := errors.AsType[*notValidNow](err); early {
		return nil
	}
	if err != nil {
		return fmt.Errorf("its OCSP answer: %w", err)
	}
	c.setStaple(answer, ends)
	return nil
}

func decodeTicketKeys(b []byte) (*TicketKeys, error) {
	if len(b) < 1+ticketEntryLen || b[0] > 1 || (len(b)-1)%ticketEntryLen != 0 || (len(b)-1)/ticketEntryLen > MaxTicketKeys {
		return nil, fmt.Errorf("%d bytes are not 1 to %d ticket keys", len(b), MaxTicketKeys)
	}
	k := &TicketKeys{fromFile: b[0] == 1}
	for b = b[1:]; len(b) > 0; b = b[ticketEntryLen:] {
		key := &ticketKey{new(ticketSecret), timeOf(int64(binary.BigEndian.Uint64(b)))}
		copy(key.secret[:], b[8:])
		k.keys = append(k.keys, key)
	}
	return k, nil
}

// cutField cuts a field off: its length, and as many bytes.
func cutField(b []byte) (field, rest []byte, err error) {
	if len(b) < lengthLen {
		return nil, nil, errors.New("cut off within a length")
	}
	n := binary.BigEndian.Uint32(b)
	if b = b[lengthLen:]; uint64(n) > uint64(len(b)) {
		return nil, nil, fmt.Errorf("%d bytes are said to follow, %d do", n, len(b))
	}
	return b[:n], b[n:], nil
}

// unixOf returns a time in seconds; 0: the zero time.
func unixOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// timeOf is the reverse.
func timeOf(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}
