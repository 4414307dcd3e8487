package tlshandshake

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode"
)

// TestReasons has every reason come of a handshake. If a release of Go changes a text that
// a reason is told by, it fails.
func TestReasons(t *testing.T) {
	expired := root().issue("a client", ecdsaKey(), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	long := strings.Repeat("a", 250)
	tests := []struct {
		name   string
		only   uint16 // version; 0: both
		change func(server, client *tls.Config)
		want   Reason
	}{
		{"server wants 1.3", tls.VersionTLS12, func(server, _ *tls.Config) { server.MinVersion = tls.VersionTLS13 }, UnsupportedVersion},
		{"client knows 1.1 at most", tls.VersionTLS12, func(server, client *tls.Config) {
			server.MinVersion = tls.VersionTLS10
			client.MinVersion, client.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		}, UnsupportedVersion},
		{"suites of RSA alone", tls.VersionTLS12, func(_, client *tls.Config) {
			client.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
		}, NoSharedCipher},
		{"suites of CBC alone", tls.VersionTLS12, func(_, client *tls.Config) {
			client.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
		}, NoSharedCipher},
		{"curves", tls.VersionTLS13, func(server, client *tls.Config) {
			server.CurvePreferences = []tls.CurveID{tls.CurveP384}
			client.CurvePreferences = []tls.CurveID{tls.X25519}
		}, NoSharedCipher},
		{"protocols", 0, func(server, client *tls.Config) {
			server.NextProtos = []string{"a"}
			client.NextProtos = []string{"b\n", long, long}
		}, NoSharedProtocol},
		{"no certificate", 0, func(server, _ *tls.Config) { server.ClientAuth = tls.RequireAndVerifyClientCert }, NoCertificate},
		{"another CA's certificate", 0, func(server, client *tls.Config) {
			server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, anotherRoot().pool()
			client.GetClientCertificate = withCertificate(0, root()).GetClientCertificate
		}, BadCertificate},
		{"an expired certificate", 0, func(server, client *tls.Config) {
			server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, root().pool()
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &expired, nil }
		}, BadCertificate},
		{"a certificate without its key", 0, func(server, client *tls.Config) {
			server.ClientAuth = tls.RequireAnyClientCert
			lying := root().issue("a client", ecdsaKey())
			lying.PrivateKey = anotherRoot().key
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &lying, nil }
		}, BadCertificate},
		{"client does not trust us", 0, func(_, client *tls.Config) { client.RootCAs = anotherRoot().pool() }, Refused},
		{"no certificate of ours", 0, func(server, _ *tls.Config) { server.Certificates = nil }, Internal},
		{"a key of ours that does not sign", 0, func(server, _ *tls.Config) {
			server.Certificates[0].PrivateKey = failing{ecdsaKey()}
		}, Internal},
		{"a callback's error", 0, func(server, _ *tls.Config) {
			server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("an error") }
		}, Internal},
		{"a callback's panic", 0, func(server, _ *tls.Config) {
			server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { panic("a secret") }
		}, Internal},
		{"a callback's Goexit", 0, func(server, _ *tls.Config) {
			server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { runtime.Goexit(); return nil, nil }
		}, Internal},
		{"GetConfigForClient", 0, func(server, _ *tls.Config) {
			server.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }
		}, Internal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, version := range versions {
				if test.only != 0 && test.only != version {
					continue
				}
				server, client := serverConfig(ecdsaKey()), clientConfig(version)
				test.change(server, client)
				err, clientErr := refuse(t, server, client)
				if err.Reason != test.want || err.Ours() != (test.want == Internal) || err.Answer() != nil {
					t.Errorf("server: %v; want %q", err, test.want)
				}
				if test.want != Internal && test.want != Refused && !strings.HasPrefix(clientErr.Error(), "remote error: tls: ") {
					t.Errorf("client: %v; want an alert", clientErr)
				}
				checkText(t, err)
			}
		})
	}
}

// failing is a key that does not sign.
type failing struct{ crypto.Signer }

func (failing) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no")
}

// checkText: an error's text can be logged.
func checkText(t *testing.T, err *Error) {
	t.Helper()
	text := err.Error()
	if len(text) > maxText+50 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) || strings.Contains(text, "secret") {
		t.Errorf("text %q", text)
	}
}

func TestPanicked(t *testing.T) {
	tests := []struct {
		name string
		do   func()
		want string
	}{
		{"the runtime's", func() { var none []int; _ = none[len(t.Name())] }, "index out of range"},
		{"another", func() { panic("a secret") }, "panic: string, in "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			defer func() {
				err := panicked(recover())
				if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "tlshandshake.TestPanicked") {
					t.Errorf("%v; want %q and where", err, test.want)
				}
				checkText(t, err)
			}()
			test.do()
		})
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"":                                 "",
		"plain":                            "plain",
		"a\x00b":                           "a?b",
		"é\n":                              "é?",
		strings.Repeat("é", maxText):       strings.Repeat("é", maxText/2) + "...",
		"a" + strings.Repeat("é", maxText): "a" + strings.Repeat("é", maxText/2-1) + "...",
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// TestAnotherLastRecord: if crypto/tls sent other records than those that are counted, the
// connection would go on with a wrong number. That is noticed.
func TestAnotherLastRecord(t *testing.T) {
	tests := []struct {
		name    string
		version uint16
		tickets bool
		change  func(h *Handshake)
	}{
		{"1.3, a ticket more", tls.VersionTLS13, true, func(h *Handshake) { h.secrets.ticketRecords++ }},
		{"1.3, another last record", tls.VersionTLS13, true, func(h *Handshake) { h.conn.seen.last = junkRecord }},
		{"1.3, another record without a ticket", tls.VersionTLS13, false, func(h *Handshake) { h.conn.seen.wrote.application++ }},
		{"1.3, another last record without a ticket", tls.VersionTLS13, false, func(h *Handshake) { h.conn.seen.last = junkRecord }},
		{"1.3, no key log", tls.VersionTLS13, true, func(h *Handshake) { h.secrets = secrets{ticketRecords: 1} }},
		{"1.3, half a key log", tls.VersionTLS13, true, func(h *Handshake) { h.secrets.server.n = 16 }},
		{"1.2, another record", tls.VersionTLS12, true, func(h *Handshake) { h.conn.seen.wrote.sealed++ }},
		{"1.2, another random", tls.VersionTLS12, true, func(h *Handshake) { h.conn.seen.wrote.hello[20]++ }},
		{"1.2, no hello", tls.VersionTLS12, true, func(h *Handshake) { h.conn.seen.read.have = 0 }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// VerifyConnection is called when, with TLS 1.3, all is written, and with
			// TLS 1.2 the last records follow.
			started := make(chan *Handshake, 1)
			config := serverConfig(ecdsaKey())
			config.SessionTicketsDisabled = !test.tickets
			config.VerifyConnection = func(tls.ConnectionState) error {
				test.change(<-started)
				return nil
			}
			client, s := serve(t, NewPool(1), config, 0)
			s.started = started
			tls.Client(client, clientConfig(test.version)).Handshake() // its server finds fault
			got := <-s.result
			if e, ok := errors.AsType[*Error](got.err); !ok || e.Reason != Internal {
				t.Errorf("got %v", got.err)
			}
		})
	}
}

func TestAnotherVersion(t *testing.T) {
	h := &Handshake{}
	if _, err := h.finish(tls.ConnectionState{Version: 0x0305}); err == nil {
		t.Error("a version that nobody knows")
	}
}

// TestPrintsNothing: whatever way a handshake is printed, no secret is.
func TestPrintsNothing(t *testing.T) {
	h := &Handshake{}
	h.secrets.master.n = copy(h.secrets.master.bytes[:], "a secret")
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if text := fmt.Sprintf(format, h); text != "tlshandshake.Handshake" {
			t.Errorf("%s prints %s", format, text)
		}
	}
}

// TestWiped: at the end of a handshake, however it ends, nothing is left of the secrets.
func TestWiped(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		for _, verified := range []error{nil, errors.New("an error")} {
			started := make(chan *Handshake, 1)
			var h *Handshake
			config := serverConfig(ecdsaKey())
			config.VerifyConnection = func(tls.ConnectionState) error {
				h = <-started
				if version == tls.VersionTLS13 && h.secrets == (secrets{}) {
					t.Error("no secrets")
				}
				return verified
			}
			client, s := serve(t, NewPool(1), config, 0)
			s.started = started
			tls.Client(client, clientConfig(version)).Handshake()
			if got := <-s.result; (got.err != nil) != (verified != nil) {
				t.Error(got.err)
			}
			if h.secrets != (secrets{}) {
				t.Error("secrets are left")
			}
		}
	})
}
