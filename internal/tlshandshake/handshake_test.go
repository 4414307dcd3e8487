package tlshandshake

import (
	"crypto"
	"crypto/tls"
	"fmt"
	"slices"
	"testing"
	_ "unsafe" // for the suites of TLS 1.3
)

var versions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

// eachVersion runs a test for TLS 1.2 and 1.3.
func eachVersion(t *testing.T, test func(t *testing.T, version uint16)) {
	for _, version := range versions {
		t.Run(tls.VersionName(version), func(t *testing.T) { test(t, version) })
	}
}

func TestHandshake(t *testing.T) {
	keys := map[string]func() crypto.Signer{"ECDSA": ecdsaKey, "RSA": rsaKey, "Ed25519": ed25519Key}
	eachVersion(t, func(t *testing.T, version uint16) {
		for name, key := range keys {
			for _, tickets := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, tickets %v", name, tickets), func(t *testing.T) {
					config := serverConfig(key())
					config.SessionTicketsDisabled = !tickets
					client, result := connect(t, NewPool(1), config, clientConfig(version))
					state := client.ConnectionState()
					if result.Version != version || result.CipherSuite != state.CipherSuite || result.Resumed || result.ServerName != "example.com" || result.ALPN != "" || result.PeerCertificates != nil {
						t.Errorf("%+v, client %+v", result, state)
					}
				})
			}
		}
	})
}

//go:linkname suites13 crypto/tls.defaultCipherSuitesTLS13
var suites13 []uint16

// only13 has client and server of this process offer one suite of TLS 1.3, which no Config
// can say.
func only13(t *testing.T, suite uint16) {
	before := slices.Clone(suites13)
	t.Cleanup(func() { suites13 = before })
	suites13 = []uint16{suite}
}

func TestEverySuite(t *testing.T) {
	for _, suite := range []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256} {
		t.Run(tls.CipherSuiteName(suite), func(t *testing.T) {
			only13(t, suite)
			testSuite(t, suite, serverConfig(ecdsaKey()), clientConfig(tls.VersionTLS13))
		})
	}
	for _, suite := range suites12 {
		t.Run(tls.CipherSuiteName(suite), func(t *testing.T) {
			client := clientConfig(tls.VersionTLS12)
			client.CipherSuites = []uint16{suite}
			config := serverConfig(ecdsaKey())
			config.Certificates = append(config.Certificates, root().issue("example.com", rsaKey()))
			testSuite(t, suite, config, client)
		})
	}
}

// testSuite does a handshake with a suite, and resumes it.
func testSuite(t *testing.T, suite uint16, config, client *tls.Config) {
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for i := range 3 {
		_, result := connect(t, NewPool(1), config, client)
		if result.CipherSuite != suite || result.Resumed != (i > 0) {
			t.Errorf("suite %s, resumed %v", tls.CipherSuiteName(result.CipherSuite), result.Resumed)
		}
	}
}

func TestKeyExchanges(t *testing.T) {
	curves := []tls.CurveID{tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}
	eachVersion(t, func(t *testing.T, version uint16) {
		for _, curve := range curves {
			if version == tls.VersionTLS12 && (curve == tls.X25519MLKEM768 || curve == tls.SecP256r1MLKEM768) {
				continue
			}
			t.Run(curve.String(), func(t *testing.T) {
				client := clientConfig(version)
				client.CurvePreferences = []tls.CurveID{curve}
				c, _ := connect(t, NewPool(1), serverConfig(ecdsaKey()), client)
				if got := c.ConnectionState().CurveID; got != curve {
					t.Errorf("curve %v", got)
				}
			})
		}
	})
}

func TestHelloRetryRequest(t *testing.T) {
	config := serverConfig(ecdsaKey())
	config.CurvePreferences = []tls.CurveID{tls.CurveP384}
	client := clientConfig(tls.VersionTLS13)
	client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP384}
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for i := range 2 {
		c, result := connect(t, NewPool(1), config, client)
		if !c.ConnectionState().HelloRetryRequest || result.Resumed != (i > 0) {
			t.Errorf("retried %v, resumed %v", c.ConnectionState().HelloRetryRequest, result.Resumed)
		}
	}
}

func TestALPN(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		config := serverConfig(ecdsaKey())
		config.NextProtos = []string{"b", "a"}
		client := clientConfig(version)
		client.NextProtos = []string{"a", "b"}
		_, result := connect(t, NewPool(1), config, client)
		if result.ALPN != "b" {
			t.Errorf("protocol %q", result.ALPN)
		}
	})
}

func TestCertificateByName(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		other := root().issue("example.org", ecdsaKey())
		other.OCSPStaple = []byte("a staple")
		config := serverConfig(ecdsaKey())
		config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if hello.ServerName == "example.org" && hello.Conn.RemoteAddr().String() == "client" && hello.Conn.LocalAddr().String() == "server" {
				return &other, nil
			}
			return nil, nil
		}
		client := clientConfig(version)
		client.ServerName = "example.org"
		c, result := connect(t, NewPool(1), config, client)
		if staple := string(c.ConnectionState().OCSPResponse); result.ServerName != "example.org" || staple != "a staple" {
			t.Errorf("name %q, staple %q", result.ServerName, staple)
		}
	})
}
