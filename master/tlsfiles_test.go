package master

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/certtest"
)

// goodWithTLS is a Config that is complete, with files in a folder: one.pem is the first
// certificate, and two.pem another.
func goodWithTLS(t *testing.T) (c Config, dir string) {
	t.Helper()
	dir = t.TempDir()
	ca := certtest.NewCA(t, "test CA")
	ca.Issue(t, certtest.Want{Names: []string{"one.example"}}).Write(t, dir, "one")
	ca.Issue(t, certtest.Want{Names: []string{"*.two.example", "192.0.2.1"}}).Write(t, dir, "two")
	ca.Issue(t, certtest.Want{Names: []string{"old.example"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)}).Write(t, dir, "old")
	ca.Issue(t, certtest.Want{Names: []string{"short.example"}, NotAfter: time.Now().Add(time.Hour)}).Write(t, dir, "short")
	c = good()
	c.Directory = dir
	c.Listen = []string{"web=tls://127.0.0.1:0"}
	c.TLSCerts, c.TLSKeys = []string{"one.pem", "two.pem"}, []string{"one-key.pem", "two-key.pem"}
	return c, dir
}

// What contradicts itself is refused, by the name of the listener, before a file is read.
func TestTransportsAreChecked(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(c *Config)
		key    string
		want   string // part of the problem; empty: it is good
	}{
		{"good", func(*Config) {}, "", ""},
		{"no certificate", func(c *Config) { c.TLSCerts = nil }, "listen", "listen web=tls://127.0.0.1:0: TLS wants a certificate; name one with tls-cert, and its key with tls-key"},
		{"without a name", func(c *Config) { c.TLSCerts, c.Listen = nil, []string{":80", "unix:///a?tls=on"} }, "listen", "listen unix:///a: TLS wants a certificate"},
		{"no TLS", func(c *Config) { c.TLSCerts, c.Listen = nil, []string{":80"} }, "", ""},
		{"hash", func(c *Config) { c.Dispatch = "hash" }, "", ""},
		{"hash and PROXY", func(c *Config) { c.Dispatch, c.Listen = "hash", []string{"a=:80?proxy=on"} }, "dispatch", "dispatch hash looks at a client's address before any byte has come, and behind the proxies of listener a=:80 that is theirs; choose another policy"},
		{"least and PROXY", func(c *Config) { c.Listen = []string{"a=:80?proxy=on"} }, "", ""},
		{"limit and PROXY", func(c *Config) { c.MaxConnsPerIP, c.Listen = 1, []string{":80", "b=unix:///b?proxy=on"} }, "max-conns-per-ip", "max-conns-per-ip looks at a client's address before any byte has come, and behind the proxies of listener b=unix:///b that is theirs"},
		{"no time for a handshake", func(c *Config) { c.TLSHandshakeTimeout = -1 }, "tls-handshake-timeout", "tls-handshake-timeout is -1ns, want more than 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := good()
			c.Listen, c.TLSCerts, c.TLSKeys = []string{"web=tls://127.0.0.1:0"}, []string{"/nowhere"}, []string{"/nowhere"}
			test.change(&c)
			err := c.Check()
			wrong, is := errors.AsType[*ConfigError](err)
			if (err == nil) != (test.want == "") || err != nil && (!is || wrong.Key != test.key || !strings.HasPrefix(wrong.Problem, test.want)) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

// The files are read from Directory, and what is wrong with them is refused by an error
// about the setting.
func TestCheckTLS(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(c *Config, dir string)
		key    string
		want   string // part of the problem; empty: it is good
		warned string
	}{
		{"good", func(*Config, string) {}, "", "", ""},
		{"with a name", func(c *Config, _ string) {
			c.Listen = []string{"tls://:0?cert=a.two.example", ":0?tls=on&cert=ONE.example"}
		}, "", "", ""},
		{"with a name of none", func(c *Config, _ string) { c.Listen = []string{"web=tls://:0?cert=three.example"} }, "listen", "listen web=tls://:0: cert=three.example is in no certificate; there are one.example, *.two.example, 192.0.2.1", ""},
		{"no such file", func(c *Config, dir string) { c.TLSCerts[0] = "none.pem" }, "tls-cert", "tls-cert DIR/none.pem: there is no such file; mend the path", ""},
		{"an absolute path", func(c *Config, dir string) { c.TLSKeys[0] = "/nowhere.pem" }, "tls-key", "tls-key /nowhere.pem: there is no such file; mend the path", ""},
		{"another's key", func(c *Config, dir string) { c.TLSKeys[0] = "old-key.pem" }, "tls-key", "tls-key DIR/old-key.pem: is not the key of DIR/one.pem", ""},
		{"expired", func(c *Config, dir string) { c.TLSCerts[1], c.TLSKeys[1] = "old.pem", "old-key.pem" }, "tls-cert", "tls-cert DIR/old.pem: expired on ", ""},
		{"unequal lists", func(c *Config, dir string) { c.TLSKeys = c.TLSKeys[1:] }, "tls-cert", "tls-cert and tls-key are pairs, by their places, and name 2 and 1 files", ""},
		{"a version", func(c *Config, dir string) { c.TLSMin = "1.0" }, "tls-min", `tls-min is "1.0", want 1.2 or 1.3`, ""},
		{"no CA", func(c *Config, dir string) { c.TLSClientCA = "one-key.pem" }, "tls-client-ca", "tls-client-ca DIR/one-key.pem: holds no CERTIFICATE", ""},
		{"no answer", func(c *Config, dir string) { c.TLSOCSP = []string{"one.pem"} }, "tls-ocsp", "tls-ocsp DIR/one.pem: is no OCSP answer", ""},
		{"no ticket key", func(c *Config, dir string) { c.TLSTicketKeys = "one.pem" }, "tls-ticket-keys", "tls-ticket-keys DIR/one.pem: line 1 is not", ""},
		{"it expires soon", func(c *Config, dir string) { c.TLSCerts[1], c.TLSKeys[1] = "short.pem", "short-key.pem" }, "", "", "tls-cert DIR/short.pem: expires on"},
		{"no TLS", func(c *Config, dir string) { c.Listen = []string{"127.0.0.1:0"} }, "", "", "tls-cert and the like have no effect: no address of listen has TLS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, dir := goodWithTLS(t)
			test.change(&c, dir)
			certificates, warnings, err := c.CheckTLS()
			if test.want != "" {
				wrong, is := errors.AsType[*ConfigError](err)
				if !is || wrong.Key != test.key || !strings.HasPrefix(strings.ReplaceAll(wrong.Problem, dir, "DIR"), test.want) || !errors.Is(err, ErrConfig) {
					t.Errorf("%v, want %s", err, test.want)
				}
				return
			}
			if err != nil || len(certificates) != 2 || certificates[0].File != filepath.Join(dir, "one.pem") || certificates[0].Names[0] != "one.example" || certificates[0].NotAfter.IsZero() {
				t.Fatalf("%+v, %v", certificates, err)
			}
			if got := strings.ReplaceAll(strings.Join(warnings, "\n"), dir, "DIR"); !strings.HasPrefix(got, test.warned) || (got == "") != (test.warned == "") {
				t.Errorf("warnings %q, want %s", got, test.warned)
			}
		})
	}
	c := good()
	if certificates, warnings, err := c.CheckTLS(); certificates != nil || warnings != nil || err != nil {
		t.Errorf("without TLS: %v, %q, %v", certificates, warnings, err)
	}
}
