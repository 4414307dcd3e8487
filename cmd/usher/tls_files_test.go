package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/usher-go/usher/internal/certtest"
)

// replace puts a file in the place of another in one go, as a careful program does.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// usher check says what the files of TLS hold, or what is wrong, and where that is said.
func TestCheckReadsTheFilesOfTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := certtest.NewCA(t, "test CA")
	ca.Issue(t, certtest.Want{Names: []string{"one.example"}}).Write(t, dir, "one")
	ca.Issue(t, certtest.Want{Names: []string{"*.two.example", "192.0.2.1"}, NotAfter: time.Now().Add(50 * time.Hour)}).Write(t, dir, "two")
	ca.Issue(t, certtest.Want{}).Write(t, dir, "other")
	config := filepath.Join(dir, "usher.toml")
	writeFile(t, config, `
listen = ["web=tls://127.0.0.1:0?cert=a.two.example"]
tls-cert = ["one.pem", "two.pem"]
tls-key = ["one-key.pem", "two-key.pem"]
`)
	got := usher(t, "check", "--directory", dir, "--config", "usher.toml")
	lines := strings.Split(strings.ReplaceAll(got.stdout, dir, "DIR"), "\n")
	want := []string{
		"warning: tls-cert DIR/two.pem: expires on 20",
		"certificate DIR/one.pem for one.example, expires 20",
		"certificate DIR/two.pem for *.two.example, 192.0.2.1, expires 20",
		"ok: would serve on web=tls://127.0.0.1:0?cert=a.two.example with ",
		"",
	}
	if got.code != 0 || got.stderr != "" || !slices.EqualFunc(lines, want, strings.HasPrefix) {
		t.Errorf("%+v", got)
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"by flags":       {[]string{"--tls-cert", "one.pem", "--tls-key", "other-key.pem"}, "usher: configuration: tls-key DIR/other-key.pem: is not the key of DIR/one.pem; "},
		"by the file":    {[]string{"--config", "usher.toml", "--tls-cert", "one.pem,other.pem"}, "usher: DIR/usher.toml:4: tls-key DIR/two-key.pem: is not the key of DIR/other.pem; "},
		"no such name":   {[]string{"--config", "usher.toml", "--listen", "tls://:0?cert=b.example"}, "usher: configuration: listen tls://:0: cert=b.example is in no certificate; there are one.example, *.two.example, 192.0.2.1\n"},
		"no certificate": {[]string{"--listen", "tls://:0"}, "usher: configuration: listen tls://:0: TLS wants a certificate; name one with tls-cert, and its key with tls-key\n"},
		"PROXY, hash":    {[]string{"--listen", ":0?proxy=on", "--dispatch", "hash"}, "usher: configuration: dispatch hash looks at a client's address"},
		"a bad option":   {[]string{"--listen", ":0?tsl=on"}, `usher: configuration: listen address ":0?tsl=on": unknown option "tsl": want mode=0660, tls=on|off, cert=NAME, proxy=on|off, trust=CIDR[,CIDR]` + "\n"},
		"two versions":   {[]string{"--tls-min", "1.1"}, "usher: --tls-min must be one of"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := usher(t, append([]string{"check", "--directory", dir}, test.args...)...)
			if got.code != exitUsage || got.stdout != "" || !strings.HasPrefix(strings.ReplaceAll(got.stderr, dir, "DIR"), test.want) {
				t.Errorf("%+v, want %s", got, test.want)
			}
		})
	}
	number := filepath.Join(dir, "number.toml")
	writeFile(t, number, "tls-min = 1.3\n")
	if got := usher(t, "check", "--config", number); got.code != exitUsage || got.stderr != "usher: "+number+`:1: tls-min is 1.3, want "1.3", a string`+"\n" {
		t.Errorf("a number: %+v", got)
	}
}

// A list of addresses is cut at commas, and a list of networks within one is not.
func TestTrustInLists(t *testing.T) {
	withoutVariables(t)
	for _, test := range []struct{ text, want string }{
		{":1,:2", ":1 :2"},
		{":1, a=:2 ,:3?proxy=on&trust=10.0.0.0/8, ::1", ":1 a=:2 :3?proxy=on&trust=10.0.0.0/8,::1"},
		{":1?proxy=on&trust=10.0.0.0/8,192.0.2.0/24", ":1?proxy=on&trust=10.0.0.0/8,192.0.2.0/24"},
		{":1?proxy=on&trust=10.0.0.0/8,::1,:2,a=tls://:3", ":1?proxy=on&trust=10.0.0.0/8,::1 :2 a=tls://:3"},
		{":1?trust=10.0.0.0/8,2001:db8::/32&proxy=on,unix:///a", ":1?trust=10.0.0.0/8,2001:db8::/32&proxy=on unix:///a"},
		{":1,10.0.0.0/8", ":1 10.0.0.0/8"}, // which is refused
	} {
		if got := strings.Join(mustRead(t, "serve", "--listen", test.text).values.Listen, " "); got != test.want {
			t.Errorf("--listen %s: %s", test.text, got)
		}
		t.Setenv("USHER_LISTEN", test.text)
		if got := strings.Join(mustRead(t, "serve").values.Listen, " "); got != test.want {
			t.Errorf("USHER_LISTEN=%s: %s", test.text, got)
		}
		os.Unsetenv("USHER_LISTEN")
	}
}

// A reload reads the files anew. If they are bad it is refused, exactly, and the old ones
// stay; listeners and certificates are to be seen in the status.
func TestReloadReadsTheFilesOfTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := certtest.NewCA(t, "test CA")
	first := ca.Issue(t, certtest.Want{Names: []string{"one.example"}})
	cert, key := first.Write(t, dir, "live")
	lines := []string{
		`listen = ["web=tls://127.0.0.1:0", "tcp4://127.0.0.1:0?proxy=on&trust=10.0.0.0/8,127.0.0.1"]`,
		fmt.Sprintf("tls-cert = [%q]", cert), fmt.Sprintf("tls-key = [%q]", key), `workers = 1`,
	}
	s := serveConfigured(t, lines...)
	if !strings.HasPrefix(s.started, "usher: serving on tls://127.0.0.1:") {
		t.Errorf("it says %q", s.started)
	}
	expiry := func() string {
		status := s.until("the certificate", allReady)
		if len(status.Certificates) != 1 || status.Certificates[0].File != cert || status.Certificates[0].Names[0] != "one.example" {
			t.Fatalf("%+v", status.Certificates)
		}
		return status.Certificates[0].NotAfter.UTC().Format(time.RFC3339)
	}
	if got := expiry(); got != first.Chain[0].NotAfter.Format(time.RFC3339) {
		t.Errorf("it expires on %s", got)
	}
	status, err := s.status()
	if err != nil {
		t.Fatal(err)
	}
	web, other := status.Listeners[0], status.Listeners[1]
	if !web.TLS || web.Proxy || web.Trust != "" || other.TLS || !other.Proxy || other.Trust != "10.0.0.0/8,127.0.0.1/32" {
		t.Errorf("%+v", status.Listeners)
	}
	table := s.ask("status").stdout
	for _, want := range []string{
		"listening on tls://" + web.Address + " (web)\n", "listening on " + other.Address + ", PROXY headers from 10.0.0.0/8,127.0.0.1/32\n",
		"certificate " + cert + " for one.example, expires " + expiry() + "\n",
		"TLS handshakes: 0 done, 0 of them resumed a session, 0 refused\n", "PROXY headers refused: 0 untrusted, 0 malformed, 0 late\n",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in:\n%s", want, table)
		}
	}

	next := ca.Issue(t, certtest.Want{Names: []string{"one.example"}, NotAfter: time.Now().Add(13 * 24 * time.Hour)})
	replace(t, cert, next.CertPEM())
	s.refusesReload(s.path + ":3: tls-key " + key + ": is not the key of " + cert + "; name the one")
	s.write(slices.Concat(lines[:1], lines[3:])...) // without certificate and key
	s.refusesReload("tls://127.0.0.1:0: TLS wants a certificate")
	s.write(lines...)
	replace(t, key, next.KeyPEM(t))
	replace(t, cert, bytes.Repeat([]byte("x"), 10))
	s.refusesReload(s.path + ":2: tls-cert " + cert + ": is not PEM")
	if got := expiry(); got != first.Chain[0].NotAfter.Format(time.RFC3339) {
		t.Errorf("after bad reloads it expires on %s", got)
	}
	replace(t, cert, next.CertPEM())
	s.reload()
	if got := expiry(); got != next.Chain[0].NotAfter.Format(time.RFC3339) {
		t.Errorf("after a good reload it expires on %s", got)
	}
	s.log.await(t, 1, "TLS works, and wants attention", "tls-cert "+cert+": expires on 20")
	if diff := cmp.Diff(status.Listeners, s.until("all is well", allReady).Listeners); diff != "" {
		t.Errorf("listeners, -before +after:\n%s", diff)
	}
	s.stop()
}
