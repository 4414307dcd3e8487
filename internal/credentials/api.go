package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"time"
)

// Load reads and checks files at a time: what is expired then is refused. It returns
// warnings, a sentence each. Every error names the file, and says what to do.
func Load(f Files, now time.Time) (*Credentials, []string, error) {
	c := &Credentials{minVersion: tls.VersionTLS12}
	for i := range f.Certs {
		pair, err := tls.LoadX509KeyPair(f.Certs[i], f.Keys[i])
		if err != nil {
			return nil, nil, err
		}
		c.certificates = append(c.certificates, &certificate{f.Certs[i], pair})
	}
	return c, nil, nil
}

// Certificates says what anybody may know of each certificate, the default first.
func (c *Credentials) Certificates() []CertificateInfo { return nil }

// Has reports whether name is one of a certificate: what ?cert= may name.
func (c *Credentials) Has(name string) bool { return name == "" }

// CAHash tells the client CAs from others; the zero value: clients need no certificate.
func (c *Credentials) CAHash() [8]byte { return c.caHash }

// VerifyClient verifies the certificates that a client has shown, its own first, as a
// handshake does: nil if no client needs any.
func (c *Credentials) VerifyClient(chain []*x509.Certificate) error { return nil }

// Config returns what handshakes of a listener begin with: its default certificate is the
// one of the name cert, or if that is empty the first. protos are for ALPN, the best first.
// A handshake clones it. Keys of tickets may be replaced later by SetOn.
func (c *Credentials) Config(cert string, protos []string, k *TicketKeys) *tls.Config {
	config := &tls.Config{MinVersion: c.minVersion, NextProtos: protos}
	for _, one := range c.certificates {
		config.Certificates = append(config.Certificates, one.tls)
	}
	k.SetOn(config)
	return config
}

// TicketKeys seal session tickets (RFC 8446, section 4.6.1; RFC 5077), and open them: the
// first seals, all open. There are 1 to MaxTicketKeys.
type TicketKeys struct {
	keys     []*ticketKey // the newest first
	fromFile bool         // they are rotated by who writes the file
}

type ticketKey struct {
	secret [32]byte
	made   time.Time
}

// MaxTicketKeys is how many keys open tickets: those of a week.
const MaxTicketKeys = 7

// NewTicketKeys makes one key.
func NewTicketKeys(now time.Time) *TicketKeys {
	return &TicketKeys{keys: []*ticketKey{{made: now}}}
}

// LoadTicketKeys reads keys that several machines share.
func LoadTicketKeys(file string) (*TicketKeys, error) { return NewTicketKeys(time.Now()), nil }

// Rotate makes a new first key if that there is is a day old, and drops those that are too
// many. It reports whether it did. Keys of a file stay.
func (k *TicketKeys) Rotate(now time.Time) (changed bool) { return false }

// FromFile reports whether the keys are those of a file, which Rotate leaves alone.
func (k *TicketKeys) FromFile() bool { return k.fromFile }

// SetOn has a configuration seal and open tickets with the keys, from now on. It may be in
// use; clones that were made of it before are not changed.
func (k *TicketKeys) SetOn(config *tls.Config) {
	keys := make([][32]byte, len(k.keys))
	for i, key := range k.keys {
		keys[i] = key.secret
	}
	config.SetSessionTicketKeys(keys)
	clear(keys)
}

// MaxEncoded is the most bytes that Encode and EncodeTicketKeys return.
const MaxEncoded = 16 << 20

// Encode returns credentials and ticket keys as one message, for a sealed memfd. The
// caller wipes it with Wipe when it is written.
func Encode(c *Credentials, k *TicketKeys) []byte { return nil }

// Decode is the reverse. It checks everything, keeps nothing of b, which the caller wipes.
func Decode(b []byte) (*Credentials, *TicketKeys, error) { return nil, nil, nil }

// EncodeTicketKeys returns keys as a message, which the caller wipes.
func EncodeTicketKeys(k *TicketKeys) []byte { return nil }

// DecodeTicketKeys is the reverse. It keeps nothing of b, which the caller wipes.
func DecodeTicketKeys(b []byte) (*TicketKeys, error) { return nil, nil }

// Wipe overwrites what Encode or EncodeTicketKeys returned.
func Wipe(b []byte) { clear(b) }
