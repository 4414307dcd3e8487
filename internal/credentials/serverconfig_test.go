package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/certtest"
)

// handshake has a client meet a server in this process, and returns what each saw.
func handshake(t *testing.T, server, client *tls.Config) (seen tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	near, far := socketPair(t) // a pipe holds nothing: both ends may write at a time
	defer near.Close()
	ended := make(chan error, 1)
	go func() {
		conn := tls.Server(far, server.Clone())
		err := conn.Handshake()
		if err == nil {
			_, err = conn.Write([]byte{1}) // the client has read tickets when it has this
		}
		_ = far.Close() // nothing is to be flushed
		ended <- err
	}()
	conn := tls.Client(near, client)
	if clientErr = conn.Handshake(); clientErr == nil {
		_, clientErr = conn.Read(make([]byte, 1))
	}
	_ = near.Close() // the server may wait for it
	return conn.ConnectionState(), <-ended, clientErr
}

// socketPair returns both ends of a connection.
func socketPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// mustLoad reads pairs of a place.
func mustLoad(t testing.TB, f Files) *Credentials {
	t.Helper()
	c, _, err := Load(f, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// SNI picks by names; of certificates for one name the first that the client can use; and
// the listener's default is for all others.
func TestChoice(t *testing.T) {
	p := newPlace(t)
	p.issue("wild", certtest.Want{Names: []string{"*.wild.example"}})
	p.issue("special", certtest.Want{Names: []string{"special.wild.example", "192.0.2.1"}})
	p.issue("ec", certtest.Want{Names: []string{"both.example"}})
	p.issue("rsa", certtest.Want{Names: []string{"both.example"}, Key: certtest.RSA(t)})
	p.issue("rsa-one", certtest.Want{Names: []string{"one.example"}, Key: certtest.RSA(t)})
	order := []string{"one", "wild", "special", "ec", "rsa", "rsa-one"}
	c := mustLoad(t, p.files(order...))

	rsaAlone := func(config *tls.Config) {
		config.MaxVersion = tls.VersionTLS12
		config.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	}
	tests := map[string]struct {
		byDefault string // ?cert=
		sni       string
		client    func(*tls.Config)
		want      string
	}{
		"a name":                         {"", "one.example", nil, "one"},
		"in other letters":               {"", "ONE.Example", nil, "one"},
		"a wildcard":                     {"", "a.wild.example", nil, "wild"},
		"its parent":                     {"", "wild.example", nil, "one"},
		"a grandchild":                   {"", "a.b.wild.example", nil, "one"},
		"a name goes before a wildcard":  {"", "special.wild.example", nil, "special"},
		"a name of two":                  {"", "both.example", nil, "ec"},
		"to a client of RSA alone":       {"", "both.example", rsaAlone, "rsa"},
		"none":                           {"", "", nil, "one"},
		"none, to a client of RSA alone": {"", "", rsaAlone, "rsa-one"},
		"an unknown one":                 {"", "unknown.example", nil, "one"},
		"an unknown one, of RSA":         {"", "unknown.example", rsaAlone, "rsa-one"},
		"none, with a default":           {"both.example", "", nil, "ec"},
		"none, with a default, of RSA":   {"both.example", "", rsaAlone, "rsa"},
		"a default by its wildcard":      {"*.wild.example", "", nil, "wild"},
		"a default by a name under it":   {"x.wild.example", "", nil, "wild"},
		"a default by its address":       {"192.0.2.1", "", nil, "special"},
		"a name, with another default":   {"both.example", "one.example", nil, "one"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := &tls.Config{ServerName: test.sni, InsecureSkipVerify: true}
			if test.client != nil {
				test.client(client)
			}
			seen, serverErr, clientErr := handshake(t, c.Config(test.byDefault, nil, NewTicketKeys(time.Now())), client)
			if serverErr != nil || clientErr != nil {
				t.Fatalf("%v, %v", serverErr, clientErr)
			}
			want := c.certificates[slices.Index(order, test.want)].leaf()
			if !seen.PeerCertificates[0].Equal(want) {
				t.Errorf("it got %v", seen.PeerCertificates[0].Subject)
			}
		})
	}
}

// A client that can use no certificate hears why, and the server says so.
func TestNoCertificateFits(t *testing.T) {
	p := newPlace(t)
	c := mustLoad(t, p.files("one"))
	client := &tls.Config{ServerName: "one.example", RootCAs: p.ca.Pool(), MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}
	if _, serverErr, clientErr := handshake(t, c.Config("", nil, NewTicketKeys(time.Now())), client); serverErr == nil || clientErr == nil {
		t.Errorf("%v, %v", serverErr, clientErr)
	}
}

// Every suite of TLS 1.2 that is taken is an AEAD with ephemeral keys, and no other is.
func TestSuites(t *testing.T) {
	p := newPlace(t)
	p.issue("rsa", certtest.Want{Names: []string{"one.example"}, Key: certtest.RSA(t)})
	config := mustLoad(t, p.files("one", "rsa")).Config("", nil, NewTicketKeys(time.Now()))
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if !slices.Contains(suite.SupportedVersions, tls.VersionTLS12) || slices.Equal(suite.SupportedVersions, []uint16{tls.VersionTLS13}) {
			continue
		}
		client := &tls.Config{ServerName: "one.example", RootCAs: p.ca.Pool(), MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}}
		seen, _, err := handshake(t, config, client)
		if taken := err == nil && seen.CipherSuite == suite.ID; taken != slices.Contains(suites, suite.ID) {
			t.Errorf("%s: %v", suite.Name, err)
		}
	}
	for _, id := range suites {
		if name := tls.CipherSuiteName(id); len(name) < 10 || name[:10] != "TLS_ECDHE_" {
			t.Error(name)
		}
	}
}

func TestMinVersion(t *testing.T) {
	p := newPlace(t)
	for min, want := range map[string]uint16{"": tls.VersionTLS12, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		f := p.files("one")
		f.MinVersion = min
		config := mustLoad(t, f).Config("", nil, NewTicketKeys(time.Now()))
		for _, version := range []uint16{tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
			client := &tls.Config{ServerName: "one.example", RootCAs: p.ca.Pool(), MinVersion: tls.VersionTLS10, MaxVersion: version}
			seen, _, err := handshake(t, config, client)
			if good := err == nil && seen.Version == version; good != (version >= want) {
				t.Errorf("at least %q: %s: %v", min, tls.VersionName(version), err)
			}
		}
	}
}

// With CAs for clients, those must show a certificate of theirs.
func TestClientCertificates(t *testing.T) {
	p := newPlace(t)
	middle := p.ca.Intermediate(t, "middle")
	other := certtest.NewCA(t, "other")
	f := p.files("one")
	f.ClientCA = p.path("ca.pem")
	c := mustLoad(t, f)
	config := c.Config("", []string{"http/1.1"}, NewTicketKeys(time.Now()))
	tests := map[string]struct {
		pair *certtest.Pair
		good bool
	}{
		"none":               {nil, false},
		"one":                {p.ca.Issue(t, certtest.Want{Client: true}), true},
		"with its issuer":    {middle.Issue(t, certtest.Want{Client: true}), true},
		"without its issuer": {&certtest.Pair{Chain: middle.Issue(t, certtest.Want{Client: true}).Chain[:1]}, false},
		"another's":          {other.Issue(t, certtest.Want{Client: true}), false},
		"a server's":         {p.ca.Issue(t, certtest.Want{}), false},
		"expired":            {p.ca.Issue(t, certtest.Want{Client: true, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)}), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var chain []*x509.Certificate
			if test.pair != nil {
				chain = test.pair.Chain
			}
			if err := c.VerifyClient(chain); (err == nil) != test.good {
				t.Errorf("verified: %v", err)
			}
			if test.pair != nil && test.pair.Key == nil {
				return
			}
			client := &tls.Config{ServerName: "one.example", RootCAs: p.ca.Pool()}
			if test.pair != nil {
				pair := test.pair.TLS()
				client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
			}
			if _, err, _ := handshake(t, config, client); (err == nil) != test.good {
				t.Errorf("handshake: %v", err)
			}
		})
	}
	if err := mustLoad(t, p.files("one")).VerifyClient(nil); err != nil {
		t.Errorf("without CAs: %v", err)
	}
}

// The hash of the CAs is that of a set.
func TestCAHash(t *testing.T) {
	p := newPlace(t)
	a, b := p.ca.CertPEM(), certtest.NewCA(t, "b").CertPEM()
	hash := func(text []byte) [8]byte {
		f := p.files("one")
		f.ClientCA = p.write("x.pem", text)
		return mustLoad(t, f).CAHash()
	}
	one, both := hash(a), hash(slices.Concat(a, b))
	if one == both || hash(slices.Concat(b, a, b)) != both || hash(b) == one || one == [8]byte{} {
		t.Errorf("%x, %x", one, both)
	}
	if got := mustLoad(t, p.files("one")).CAHash(); got != [8]byte{} {
		t.Errorf("without CAs: %x", got)
	}
}

func TestALPN(t *testing.T) {
	p := newPlace(t)
	config := mustLoad(t, p.files("one")).Config("", []string{"b", "a"}, NewTicketKeys(time.Now()))
	seen, _, err := handshake(t, config, &tls.Config{ServerName: "one.example", RootCAs: p.ca.Pool(), NextProtos: []string{"a", "b"}})
	if err != nil || seen.NegotiatedProtocol != "b" {
		t.Errorf("%q, %v", seen.NegotiatedProtocol, err)
	}
}
