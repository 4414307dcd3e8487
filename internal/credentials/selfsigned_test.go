package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"
)

// A self-signed certificate is good for its names, to who trusts it, without a warning.
func TestSelfSigned(t *testing.T) {
	p := newPlace(t)
	names := []string{"localhost", "127.0.0.1", "::1", "a_b.example.com", "*.example.com"}
	cert, key, err := SelfSigned(names, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c, warnings, err := Load(Files{Certs: []string{p.write("cert.pem", cert)}, Keys: []string{p.write("key.pem", key)}}, time.Now())
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%q, %v", warnings, err)
	}
	if got := c.Certificates()[0]; len(got.Names) != len(names) || time.Until(got.NotAfter) < 300*24*time.Hour {
		t.Errorf("%+v", got)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	for _, name := range append(names[:4:4], "x.example.com") {
		if _, _, err := handshake(t, c.Config("", nil, NewTicketKeys(time.Now())), &tls.Config{ServerName: name, RootCAs: roots}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, bad := range [][]string{nil, {""}, {"a b"}, {"a..b"}, {"-a"}, {"a."}, {"*"}, {"a.*.b"}, {"a\n"}, {"1.2.3.4/8"}, {strings.Repeat("a", 64)}, {strings.Repeat("a.", 127) + "a"}} {
		if _, _, err := SelfSigned(bad, time.Now()); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
