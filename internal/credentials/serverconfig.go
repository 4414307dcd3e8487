package credentials

import (
	"crypto/tls"
	"time"
)

// suites are those of TLS 1.2 that are taken: ephemeral keys and AEADs alone. TLS 1.3 has
// no others (RFC 8446, appendix B.4).
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// Config returns what the handshakes of a listener begin with. cert is a name of its
// default certificate; empty, or one that no certificate has: the first. protos are for
// ALPN, the best first. Each handshake clones it; k may be replaced in it by
// TicketKeys.SetOn.
//
// SNI picks a certificate by its names; of those for one name, the first that the client
// can use: there may be one of ECDSA and one of RSA. A client that sends no name, or one
// that no certificate has, gets the default.
func (c *Credentials) Config(cert string, protos []string, k *TicketKeys) *tls.Config {
	config := &tls.Config{
		MinVersion:   c.minVersion,
		CipherSuites: suites,
		NextProtos:   protos,
	}
	if c.clientCAPool != nil {
		config.ClientCAs, config.ClientAuth = c.clientCAPool, tls.RequireAndVerifyClientCert
	}
	byDefault := c.defaults(cert)
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		candidates := c.byName.find(hello.ServerName)
		if len(candidates) == 0 {
			candidates = byDefault
		}
		return choose(candidates, hello), nil
	}
	k.SetOn(config)
	return config
}

// defaults returns the certificates for a name, or those that are for a name of the first.
func (c *Credentials) defaults(cert string) []*certificate {
	if found := c.byName.find(cert); len(found) > 0 {
		return found
	}
	if len(c.certificates) == 0 {
		return nil
	}
	first := c.certificates[0]
	found := []*certificate{first}
	if own := namesOf(first.leaf()); len(own) > 0 {
		for _, other := range c.byName[lower(own[0])] {
			if other != first {
				found = append(found, other)
			}
		}
	}
	return found
}

// choose returns the first certificate that a client can use; if it can use none, the
// first, so that crypto/tls says what is wrong; of none, nil.
func choose(candidates []*certificate, hello *tls.ClientHelloInfo) *tls.Certificate {
	if len(candidates) == 0 {
		return nil
	}
	now := time.Now()
	if len(candidates) > 1 {
		nameless := *hello // their names are known to be right, or not to matter
		nameless.ServerName = ""
		for _, one := range candidates {
			if nameless.SupportsCertificate(one.pair) == nil {
				return one.at(now)
			}
		}
	}
	return candidates[0].at(now)
}
