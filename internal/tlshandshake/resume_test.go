package tlshandshake

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
)

// withCA is a server's config that requires clients' certificates.
func withCA(ca *authority) *tls.Config {
	c := serverConfig(ecdsaKey())
	c.ClientAuth = tls.RequireAndVerifyClientCert
	c.ClientCAs = ca.pool()
	return c
}

// withCertificate is a client's config with a certificate of a CA, and a cache of sessions.
func withCertificate(version uint16, ca *authority) *tls.Config {
	c := clientConfig(version)
	c.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		certificate := ca.issue("a client", ecdsaKey()) // whatever CA is asked for
		return &certificate, nil
	}
	return c
}

func TestClientCertificates(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		client := withCertificate(version, root())
		for i := range 2 {
			_, result := connect(t, NewPool(1), withCA(root()), client)
			if len(result.PeerCertificates) != 1 || result.PeerCertificates[0].Subject.CommonName != "a client" || result.Resumed != (i > 0) {
				t.Errorf("certificates %v, resumed %v", result.PeerCertificates, result.Resumed)
			}
		}
	})
}

func TestClientCertificateOfAnIntermediate(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		middle := newIntermediate(root(), "intermediate")
		client := withCertificate(version, middle)
		leaf := middle.issue("a client", rsaKey())
		leaf.Certificate = append(leaf.Certificate, middle.certificate.Raw)
		client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &leaf, nil }
		for range 2 {
			if _, result := connect(t, NewPool(1), withCA(root()), client); len(result.PeerCertificates) != 2 {
				t.Errorf("%d certificates", len(result.PeerCertificates))
			}
		}
	})
}

// TestLargeTicket: the ticket holds the client's chain, and does not fit in one record
// with it, so it counts as several.
func TestLargeTicket(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		client := withCertificate(version, root())
		leaf := root().issue("a client", ecdsaKey(), func(c *x509.Certificate) {
			for range 1500 {
				c.DNSNames = append(c.DNSNames, "a-long-name.example.com")
			}
		})
		client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &leaf, nil }
		for i := range 2 {
			if _, result := connect(t, NewPool(1), withCA(root()), client); result.Resumed != (i > 0) {
				t.Errorf("resumed %v", result.Resumed)
			}
		}
	})
}

// TestResumeElsewhere: another config with the same keys resumes, with its own protocols;
// one with other keys does not.
func TestResumeElsewhere(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		client := clientConfig(version)
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		client.NextProtos = []string{"a", "b"}
		resume := func(proto string, keys [][32]byte, want bool) {
			t.Helper()
			config := serverConfig(ecdsaKey())
			config.NextProtos = []string{proto}
			config.SetSessionTicketKeys(keys)
			_, result := connect(t, NewPool(1), config, client)
			if result.Resumed != want || result.ALPN != proto {
				t.Errorf("resumed %v, want %v; protocol %q, want %q", result.Resumed, want, result.ALPN, proto)
			}
		}
		resume("a", [][32]byte{{1}}, false)
		resume("b", [][32]byte{{2}, {1}}, true) // sealed with the second, sealed anew with the first
		resume("a", [][32]byte{{3}, {2}}, true)
		resume("a", [][32]byte{{1}}, false)
	})
}

// TestKeysSetWhileInUse: the keys of the shared config count, also those that were set
// after the handshake had cloned it.
func TestKeysSetWhileInUse(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		config := serverConfig(ecdsaKey())
		config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			config.SetSessionTicketKeys([][32]byte{{2}})
			return nil, nil
		}
		client := clientConfig(version)
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		connect(t, NewPool(1), config, client)

		config = serverConfig(ecdsaKey())
		config.SetSessionTicketKeys([][32]byte{{2}})
		if _, result := connect(t, NewPool(1), config, client); !result.Resumed {
			t.Error("not resumed with the new key")
		}
	})
}

// TestResumeWithoutItsCA: a ticket of a client whose CA is not trusted any more does not
// resume, nor does one of a client without a certificate where one is required.
func TestResumeWithoutItsCA(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		client := withCertificate(version, root())
		connect(t, NewPool(1), withCA(root()), client)
		err, clientErr := refuse(t, withCA(anotherRoot()), client)
		if err.Reason != BadCertificate || clientErr == nil {
			t.Errorf("server %v, client %v", err, clientErr)
		}

		client = clientConfig(version)
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		connect(t, NewPool(1), serverConfig(ecdsaKey()), client)
		if err, _ = refuse(t, withCA(root()), client); err.Reason != NoCertificate {
			t.Errorf("server %v", err)
		}
	})
}

// TestResumeUnderBothCAs: the CA of the ticket is one of several, and resumes.
func TestResumeUnderBothCAs(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		client := withCertificate(version, root())
		connect(t, NewPool(1), withCA(root()), client)
		both := withCA(root())
		both.ClientCAs.AddCert(anotherRoot().certificate)
		if _, result := connect(t, NewPool(1), both, client); !result.Resumed || len(result.PeerCertificates) != 1 {
			t.Errorf("resumed %v, %d certificates", result.Resumed, len(result.PeerCertificates))
		}
	})
}

// TestForeignTicket: a ticket that crypto/tls has made without our hooks resumes here, and
// ours there, since the keys are the same.
func TestForeignTicket(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		client := clientConfig(version)
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		plainly(t, client, false)
		if _, result := connect(t, NewPool(1), serverConfig(ecdsaKey()), client); !result.Resumed {
			t.Error("not resumed here")
		}
		plainly(t, client, true)
	})
}

// plainly has a client connect to crypto/tls alone.
func plainly(t *testing.T, client *tls.Config, want bool) {
	t.Helper()
	a, b := newPair()
	s := tls.Server(b, serverConfig(ecdsaKey()))
	errs := make(chan error, 1)
	go func() {
		_, err := s.Write([]byte{1})
		errs <- err
	}()
	c := tls.Client(a, client)
	_, err := c.Read(make([]byte, 1))
	if err = errors.Join(err, <-errs); err != nil || c.ConnectionState().DidResume != want {
		t.Errorf("%v, resumed %v", err, c.ConnectionState().DidResume)
	}
}
