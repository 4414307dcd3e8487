package credentials

import (
	"bytes"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/certtest"
	"golang.org/x/sys/unix"
)

// place is a folder with files of a test, by name: some good ones are there already.
type place struct {
	testing.TB
	dir string
	ca  *certtest.CA
	one *certtest.Pair
}

func newPlace(t testing.TB) *place {
	p := &place{t, t.TempDir(), certtest.NewCA(t, "test CA"), nil}
	p.one = p.issue("one", certtest.Want{Names: []string{"one.example"}})
	p.write("ca.pem", p.ca.CertPEM())
	return p
}

// path is that of a file of the folder.
func (p *place) path(name string) string { return filepath.Join(p.dir, name) }

func (p *place) write(name string, content []byte) string {
	p.Helper()
	if err := os.WriteFile(p.path(name), content, 0o600); err != nil {
		p.Fatal(err)
	}
	return p.path(name)
}

// data copies a file of testdata.
func (p *place) data(name string) string {
	p.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		p.Fatal(err)
	}
	return p.write(name, content)
}

func (p *place) issue(name string, want certtest.Want) *certtest.Pair {
	p.Helper()
	pair := p.ca.Issue(p, want)
	pair.Write(p, p.dir, name)
	return pair
}

// files are those of pairs, by the names that issue had.
func (p *place) files(names ...string) (f Files) {
	for _, name := range names {
		f.Certs, f.Keys = append(f.Certs, p.path(name+".pem")), append(f.Keys, p.path(name+"-key.pem"))
	}
	return f
}

// kind are the certificate and the key of a kind of testdata.
func (p *place) kind(kind string) Files {
	return Files{Certs: []string{p.data(kind + "-cert.pem")}, Keys: []string{p.data(kind + "-key.pem")}}
}

// Each bad file is refused by an error that names the setting and the file, and says what
// to do.
func TestBadFiles(t *testing.T) {
	now := time.Now()
	const day = 24 * time.Hour
	keyed := func(p *place, key string) Files {
		return Files{Certs: []string{p.path("one.pem")}, Keys: []string{key}}
	}
	certified := func(p *place, cert string) Files {
		return Files{Certs: []string{cert}, Keys: []string{p.path("one-key.pem")}}
	}
	tests := map[string]struct {
		files func(p *place) Files
		want  string // of the error, where DIR stands for the folder
	}{
		"unequal counts": {func(p *place) Files {
			f := p.files("one", "one")
			f.Keys = f.Keys[1:]
			return f
		}, "tls-cert and tls-key are pairs, by their places, and name 2 and 1 files; name a key for each certificate"},
		"keys alone":         {func(p *place) Files { return Files{Keys: p.files("one").Keys} }, "tls-cert and tls-key are pairs, by their places, and name 0 and 1 files"},
		"no such file":       {func(p *place) Files { return certified(p, p.path("none.pem")) }, "tls-cert DIR/none.pem: there is no such file; mend the path"},
		"no such key":        {func(p *place) Files { return keyed(p, p.path("none.pem")) }, "tls-key DIR/none.pem: there is no such file; mend the path"},
		"a folder":           {func(p *place) Files { return certified(p, p.dir) }, "tls-cert DIR: is a folder; name the file in it"},
		"an empty file":      {func(p *place) Files { return certified(p, p.write("empty.pem", nil)) }, "tls-cert DIR/empty.pem: is empty, as one that was cut off; write it anew"},
		"an endless file":    {func(p *place) Files { return certified(p, "/dev/zero") }, "tls-cert /dev/zero: is larger than 4194304 bytes; is it the right file?"},
		"no PEM":             {func(p *place) Files { return certified(p, p.write("x.pem", []byte("hello"))) }, "tls-cert DIR/x.pem: is not PEM, which has a line -----BEGIN"},
		"DER":                {func(p *place) Files { return certified(p, p.data("cert.der")) }, "tls-cert DIR/cert.der: is not PEM, which has a line -----BEGIN; openssl x509 -in FILE makes it of a certificate in DER"},
		"a request":          {func(p *place) Files { return certified(p, p.data("request.pem")) }, "tls-cert DIR/request.pem: holds a request for a certificate; name the certificate that a CA makes of it"},
		"switched":           {func(p *place) Files { return Files{Certs: p.files("one").Keys, Keys: p.files("one").Certs} }, "tls-cert DIR/one-key.pem: holds a private key and no certificate; are tls-cert and tls-key in each other's place?"},
		"certificate as key": {func(p *place) Files { return keyed(p, p.path("one.pem")) }, "tls-key DIR/one.pem: holds a certificate and no private key; are tls-cert and tls-key in each other's place?"},
		"parameters as key":  {func(p *place) Files { return keyed(p, p.data("request.pem")) }, "tls-key DIR/request.pem: holds no PRIVATE KEY, but a CERTIFICATE REQUEST"},
		"cut off": {func(p *place) Files {
			return certified(p, p.write("cut.pem", append(p.one.CertPEM(), p.ca.CertPEM()[:100]...)))
		}, "tls-cert DIR/cut.pem: of its 2 blocks, which begin with -----BEGIN, 1 cannot be read; is the file cut off or damaged?"},
		"byte order mark": {func(p *place) Files {
			return certified(p, p.write("marked.pem", append([]byte("\xef\xbb\xbf"), p.one.CertPEM()...)))
		}, "tls-cert DIR/marked.pem: begins with a byte order mark, as some editors write; take it out: sed -i '1s/^\\xEF\\xBB\\xBF//' FILE"},
		"damaged": {func(p *place) Files {
			return certified(p, p.write("damaged.pem", bytes.Replace(p.one.CertPEM(), []byte("MII"), []byte("MIJ"), 1)))
		}, "tls-cert DIR/damaged.pem: its certificate 1 cannot be read: "},
		"damaged key": {func(p *place) Files {
			return keyed(p, p.write("damaged.pem", bytes.Replace(p.one.KeyPEM(p), []byte("MIG"), []byte("MIH"), 1)))
		}, "tls-key DIR/damaged.pem: its private key cannot be read; is it damaged?"},
		"another's key": {func(p *place) Files {
			p.issue("two", certtest.Want{})
			return keyed(p, p.path("two-key.pem"))
		}, "tls-key DIR/two-key.pem: is not the key of DIR/one.pem; name the one that it was made with"},
		"keys in the wrong order": {func(p *place) Files {
			p.issue("two", certtest.Want{})
			f := p.files("one", "two")
			f.Keys[0], f.Keys[1] = f.Keys[1], f.Keys[0]
			return f
		}, "tls-key DIR/two-key.pem: is the key of DIR/two.pem, and is in the place of that of DIR/one.pem; they are pairs, by their places"},
		"chain in the wrong order": {func(p *place) Files {
			return certified(p, p.write("chain.pem", append(p.ca.CertPEM(), p.one.CertPEM()...)))
		}, "tls-key DIR/one-key.pem: is the key of certificate 2 in DIR/chain.pem, which must be the first there"},
		"expired": {func(p *place) Files {
			p.issue("old", certtest.Want{NotBefore: now.Add(-2 * day), NotAfter: now.Add(-day)})
			return p.files("one", "old")
		}, "tls-cert DIR/old.pem: expired on 20"},
		"not yet valid": {func(p *place) Files {
			p.issue("new", certtest.Want{NotBefore: now.Add(day)})
			return p.files("new")
		}, "tls-cert DIR/new.pem: is not valid before 20"},
		"passphrase":        {func(p *place) Files { return keyed(p, p.data("encrypted-key.pem")) }, "tls-key DIR/encrypted-key.pem: is encrypted with a passphrase, for which a server cannot ask; decrypt it: openssl pkey -in FILE"},
		"passphrase, SEC 1": {func(p *place) Files { return keyed(p, p.data("encrypted-sec1-key.pem")) }, "tls-key DIR/encrypted-sec1-key.pem: is encrypted with a passphrase"},
		"OpenSSH":           {func(p *place) Files { return keyed(p, p.data("openssh-key.pem")) }, "tls-key DIR/openssh-key.pem: is in the format of OpenSSH; make it PEM, in its place: ssh-keygen -p -m PKCS8 -f FILE"},
		"Ed448":             {func(p *place) Files { return p.kind("ed448") }, "tls-cert DIR/ed448-cert.pem: its key is of the kind Ed448, which Go's crypto/tls cannot use; ask for one of ECDSA P-256 or RSA 2048"},
		"DSA":               {func(p *place) Files { return p.kind("dsa") }, "tls-cert DIR/dsa-cert.pem: its key is of the kind DSA, which"},
		"RSA-PSS":           {func(p *place) Files { return p.kind("rsapss") }, "tls-cert DIR/rsapss-cert.pem: its key is of the kind RSA-PSS, which"},
		"secp256k1":         {func(p *place) Files { return p.kind("secp256k1") }, "tls-cert DIR/secp256k1-cert.pem: its certificate 1 cannot be read: x509: unsupported elliptic curve; copy it anew or, if it is whole, ask for one of ECDSA P-256 or RSA 2048"},
		"P-224":             {func(p *place) Files { return p.kind("p224") }, "tls-cert DIR/p224-cert.pem: its key is an ECDSA key on the curve P-224, which Go's crypto/tls cannot use"},
		"RSA of 512 bits":   {func(p *place) Files { return p.kind("rsa512") }, "tls-cert DIR/rsa512-cert.pem: its key is an RSA key of 512 bits, which Go does not sign with: 1024 are the least"},
		"key of Ed448":      {func(p *place) Files { return keyed(p, p.data("ed448-key.pem")) }, "tls-key DIR/ed448-key.pem: is a key of the kind Ed448, which"},
		"key of DSA":        {func(p *place) Files { return keyed(p, p.data("dsa-key.pem")) }, "tls-key DIR/dsa-key.pem: is a key of the kind DSA, which"},
		"key of DSA, old":   {func(p *place) Files { return keyed(p, p.data("dsa-trad-key.pem")) }, "tls-key DIR/dsa-trad-key.pem: is a key of the kind DSA, which"},
		"key of RSA-PSS":    {func(p *place) Files { return keyed(p, p.data("rsapss-key.pem")) }, "tls-key DIR/rsapss-key.pem: is a key of the kind RSA-PSS, which"},
		"key of secp256k1":  {func(p *place) Files { return keyed(p, p.data("secp256k1-key.pem")) }, "is a key of the kind ECDSA on the curve secp256k1, which"},
		"the same in SEC 1": {func(p *place) Files { return keyed(p, p.data("secp256k1-sec1-key.pem")) }, "is a key of the kind ECDSA on the curve secp256k1, which"},
		"key of P-224":      {func(p *place) Files { return keyed(p, p.data("p224-key.pem")) }, "is an ECDSA key on the curve P-224, which"},
		"key of X25519":     {func(p *place) Files { return keyed(p, p.data("x25519-key.pem")) }, "is a key of the kind X25519, which cannot sign"},
		"key of 512 bits":   {func(p *place) Files { return keyed(p, p.data("rsa512-key.pem")) }, "is an RSA key of 512 bits, which"},
		"minimum of TLS":    {func(p *place) Files { f := p.files("one"); f.MinVersion = "1.1"; return f }, `tls-min is "1.1", want 1.2 or 1.3`},
		"CA alone":          {func(p *place) Files { return Files{ClientCA: p.path("ca.pem")} }, "tls-client-ca DIR/ca.pem: there is no certificate for the server itself; name one with tls-cert"},
		"empty CA":          {func(p *place) Files { f := p.files("one"); f.ClientCA = p.write("empty.pem", nil); return f }, "tls-client-ca DIR/empty.pem: is empty"},
		"CA without any":    {func(p *place) Files { f := p.files("one"); f.ClientCA = p.path("one-key.pem"); return f }, "tls-client-ca DIR/one-key.pem: holds no CERTIFICATE, but a PRIVATE KEY"},
		"CA of words":       {func(p *place) Files { f := p.files("one"); f.ClientCA = p.write("ca.txt", []byte("\n")); return f }, "tls-client-ca DIR/ca.txt: is not PEM"},
		"CAs all expired": {func(p *place) Files {
			old := p.ca.Issue(p, certtest.Want{NotBefore: now.Add(-2 * day), NotAfter: now.Add(-day), Change: isCA})
			f := p.files("one")
			f.ClientCA = p.write("old-ca.pem", append(old.CertPEM(), old.CertPEM()...))
			return f
		}, "tls-client-ca DIR/old-ca.pem: its certificate 1 expired on 20"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			c, warnings, err := Load(test.files(p), now)
			if c != nil || err == nil || len(warnings) > 0 {
				t.Fatalf("%v, %q, %v; want an error alone", c, warnings, err)
			}
			if _, is := errors.AsType[*Error](err); !is {
				t.Errorf("it is a %T", err)
			}
			if got := strings.ReplaceAll(err.Error(), p.dir, "DIR"); !strings.Contains(got, test.want) {
				t.Errorf("it says\n%s, want\n%s", got, test.want)
			}
		})
	}
}

func isCA(cert *x509.Certificate) { cert.IsCA, cert.BasicConstraintsValid = true, true }

// A file that this user may not read is said so.
func TestUnreadableFile(t *testing.T) {
	p := newPlace(t)
	if err := os.Chmod(p.path("one.pem"), 0); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // who may read everything: this thread is to be somebody else (setfsuid(2))
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if _, err := unix.SetfsuidRetUid(65534); err != nil {
			t.Fatal(err)
		}
		defer unix.SetfsuidRetUid(0)
	}
	_, _, err := Load(p.files("one"), time.Now())
	if want := "tls-cert " + p.path("one.pem") + ": this server's user may not read it; see chown(1) and chmod(1)"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// What works, and may not for long or for everybody, is taken with a warning.
func TestWarnings(t *testing.T) {
	now := time.Now()
	const day = 24 * time.Hour
	tests := map[string]struct {
		files func(p *place) Files
		want  []string // parts of the warnings, in order
	}{
		"all is well": {func(p *place) Files { f := p.files("one"); f.ClientCA = p.path("ca.pem"); return f }, nil},
		"it expires soon": {func(p *place) Files {
			p.issue("short", certtest.Want{Names: []string{"x"}, NotAfter: now.Add(13*day + time.Hour)})
			return p.files("short")
		}, []string{"tls-cert DIR/short.pem: expires on 20"}},
		"in more than 14 days": {func(p *place) Files {
			p.issue("long", certtest.Want{Names: []string{"x"}, NotAfter: now.Add(15 * day)})
			return p.files("long")
		}, nil},
		"no name": {func(p *place) Files { p.issue("none", certtest.Want{}); return p.files("none") }, []string{"tls-cert DIR/none.pem: has no name that clients look at (subjectAltName)"}},
		"a key for all to read": {func(p *place) Files {
			if err := os.Chmod(p.path("one-key.pem"), 0o644); err != nil {
				p.Fatal(err)
			}
			return p.files("one")
		}, []string{"tls-key DIR/one-key.pem: every user of this machine may read or write it (mode 0644); chmod 600"}},
		"for clients": {func(p *place) Files {
			p.issue("client", certtest.Want{Names: []string{"x"}, Client: true})
			return p.files("client")
		}, []string{"tls-cert DIR/client.pem: is not for servers"}},
		"RSA of 1024 bits": {func(p *place) Files { return p.kind("rsa1024") }, []string{"its RSA key has 1024 bits; clients refuse less than 2048", "has no name"}},
		"without its issuer": {func(p *place) Files {
			p.issue("leaf", certtest.Want{Names: []string{"x"}, Change: func(cert *x509.Certificate) { cert.IssuingCertificateURL = []string{"http://ca.example"} }})
			return p.files("leaf")
		}, []string{"DIR/leaf.pem: has no certificate of its issuer, without which many clients refuse it; is there a fullchain.pem?"}},
		"another's issuer": {func(p *place) Files {
			f := p.files("one")
			f.Certs[0] = p.write("chain.pem", append(p.one.CertPEM(), certtest.NewCA(p, "another").CertPEM()...))
			return f
		}, []string{"DIR/chain.pem: its certificate 2 is not the issuer of certificate 1; clients may refuse it"}},
		"one CA of two expired": {func(p *place) Files {
			old := p.ca.Issue(p, certtest.Want{NotBefore: now.Add(-2 * day), NotAfter: now.Add(-day), Change: isCA})
			f := p.files("one")
			f.ClientCA = p.write("cas.pem", append(old.CertPEM(), p.ca.CertPEM()...))
			return f
		}, []string{"tls-client-ca DIR/cas.pem: its certificate 1 expired on 20"}},
		"one that hides another": {func(p *place) Files {
			p.issue("again", certtest.Want{Names: []string{"One.example"}})
			p.issue("more", certtest.Want{Names: []string{"one.example", "more.example"}})
			p.issue("rsa", certtest.Want{Names: []string{"one.example"}, Key: certtest.RSA(p)})
			return p.files("one", "rsa", "more", "again")
		}, []string{"tls-cert DIR/again.pem: no client is given it: its names are those of DIR/one.pem, which"}},
		"no CA": {func(p *place) Files { f := p.files("one"); f.ClientCA = p.path("one.pem"); return f }, []string{"its certificate 1 is not one of a CA"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			_, warnings, err := Load(test.files(p), now)
			if err != nil {
				t.Fatal(err)
			}
			if len(warnings) != len(test.want) {
				t.Fatalf("warnings %q, want %q", warnings, test.want)
			}
			for i, want := range test.want {
				if got := strings.ReplaceAll(warnings[i], p.dir, "DIR"); !strings.Contains(got, want) {
					t.Errorf("warning %s, want %s", got, want)
				}
			}
		})
	}
}

// Keys are read in every form that openssl writes.
func TestFormsOfKeys(t *testing.T) {
	p := newPlace(t)
	for cert, key := range map[string]string{"p256-cert.pem": "p256-sec1-key.pem", "p256-params-cert.pem": "p256-params-key.pem"} {
		c, _, err := Load(Files{Certs: []string{p.data(cert)}, Keys: []string{p.data(key)}}, time.Now())
		if err != nil || c.certificates[0].leaf().PublicKeyAlgorithm != x509.ECDSA {
			t.Errorf("%s: %v", key, err)
		}
	}
	// One file for both, as other servers have it.
	both := p.write("both.pem", append(p.one.KeyPEM(t), p.one.CertPEM()...))
	if _, _, err := Load(Files{Certs: []string{both}, Keys: []string{both}}, time.Now()); err != nil {
		t.Error(err)
	}
}

func TestCertificates(t *testing.T) {
	p := newPlace(t)
	two := p.issue("two", certtest.Want{Names: []string{"*.Two.example", "two.example", "192.0.2.1", "2001:db8::1"}})
	c, _, err := Load(p.files("one", "two"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	infos := c.Certificates()
	if len(infos) != 2 || infos[0].File != p.path("one.pem") || strings.Join(infos[1].Names, " ") != "*.Two.example two.example 192.0.2.1 2001:db8::1" || !infos[1].NotAfter.Equal(two.Chain[0].NotAfter) {
		t.Errorf("%+v", infos)
	}
	for name, want := range map[string]bool{
		"one.example": true, "ONE.example": true, "one.example.": true, "two.example": true, "*.two.example": true,
		"a.two.example": true, "192.0.2.1": true, "2001:db8::1": true, "2001:DB8:0::1": true,
		"": false, ".": false, "a.b.two.example": false, "example": false, "a.one.example": false, "192.0.2.2": false, "*.one.example": false,
	} {
		if got := c.Has(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}
