package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/usher-go/usher/internal/certtest"
)

// tlsPage is docs/tls.md, whose commands are run in a folder.
type tlsPage struct {
	*testing.T
	dir    string
	blocks map[string][]string // by kind and heading, such as "sh Renewing"
	server *configured
}

// readTLSPage reads the page, whose blocks must be as many as the stories here use.
func readTLSPage(t *testing.T) *tlsPage {
	t.Helper()
	return &tlsPage{T: t, dir: t.TempDir(), blocks: pageBlocks(t, "docs/tls.md")}
}

// run runs a block of the page as its reader does: in the folder, with usher on the PATH.
// A server is not started, but its flags and files are checked.
func (p *tlsPage) run(name string, number int, environ ...string) error {
	text := p.blocks["sh "+name][number]
	for _, change := range [][2]string{
		{"usher serve ", "usher check "},
		{"/etc/usher/", p.dir + "/etc/usher/"},
		{"-o usher -g usher ", ""}, // there is no such user here
		{" --control /run/usher.sock", ""}, {" --control /run/usher/usher.sock", ""},
	} {
		text = strings.ReplaceAll(text, change[0], change[1])
	}
	if lines := strings.SplitAfter(text, "\n"); strings.HasPrefix(lines[max(len(lines)-2, 0)], "openssl s_client ") {
		text = strings.Join(lines[:len(lines)-2], "") // it is run by itself
	}
	cmd := p.command("sh", "-eu", "-c", text)
	cmd.Env = append(cmd.Env, environ...)
	if p.server != nil {
		cmd.Env = append(cmd.Env, "USHER_CONTROL="+p.server.control)
	}
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s%w\n%s", text, err, output)
	}
	return nil
}

// mustRun is run without an error.
func (p *tlsPage) mustRun(name string, number int, environ ...string) {
	p.Helper()
	if err := p.run(name, number, environ...); err != nil {
		p.Fatal(err)
	}
}

// command is a program that finds usher on its PATH.
func (p *tlsPage) command(program string, args ...string) *exec.Cmd {
	p.Helper()
	bin := filepath.Join(p.dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		p.Fatal(err)
	}
	link := filepath.Join(bin, "usher")
	if err := os.Symlink(self(), link); err != nil && !os.IsExist(err) {
		p.Fatal(err)
	}
	as, _ := command()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = p.dir, append(as.Env, "PATH="+bin+":"+os.Getenv("PATH"))
	return cmd
}

// put writes a file, with its folders.
func (p *tlsPage) put(name string, content []byte) {
	p.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		p.Fatal(err)
	}
}

func (p *tlsPage) read(name string) string {
	p.Helper()
	content, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.Fatal(err)
	}
	return string(content)
}

// issue has a CA renew the certificate of a lineage of certbot's.
func (p *tlsPage) issue(ca *certtest.CA, ocspServer string) *certtest.Pair {
	p.Helper()
	pair := ca.Issue(p, certtest.Want{Names: []string{"one.example"}, Change: func(c *x509.Certificate) { c.OCSPServer = []string{ocspServer} }})
	p.put("lineage/privkey.pem", pair.KeyPEM(p))
	p.put("lineage/fullchain.pem", append(pair.CertPEM(), ca.CertPEM()...))
	return pair
}

// What the page tells an operator to type does work.
func TestCommandsOfTLSPage(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("there is no openssl")
	}
	p := readTLSPage(t)
	ca := certtest.NewCA(t, "test CA")
	responder := newResponder(t, ca)
	pair := p.issue(ca, responder.url)
	responder.about.Store(pair)
	for _, name := range []string{"cert.pem", "etc/usher/fullchain.pem", "etc/usher/example.com/fullchain.pem", "etc/usher/example.org/fullchain.pem"} {
		p.put(name, []byte(p.read("lineage/fullchain.pem")))
	}
	for _, name := range []string{"key.pem", "etc/usher/privkey.pem", "etc/usher/example.com/privkey.pem", "etc/usher/example.org/privkey.pem"} {
		p.put(name, []byte(p.read("lineage/privkey.pem")))
	}
	p.put("chain.pem", ca.CertPEM())

	p.mustRun("Certificates", 0)
	p.put("usher.toml", []byte(strings.ReplaceAll(p.blocks["toml Certificates"][0], "/etc/usher/", p.dir+"/etc/usher/")))
	if out, err := p.command("sh", "-c", "usher check --config usher.toml").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	p.checkUnit()
	p.mustRun("Client certificates", 1)
	p.mustRun("Client certificates", 0)
	p.mustRun("Session tickets, and several machines", 0)
	p.mustRun("PROXY headers", 0)

	lines := []string{`workers = 1`, `listen = ["tls://127.0.0.1:0"]`, p.setting("tls-client-ca", "clients.pem"), p.setting("tls-ticket-keys", "ticket-keys"),
		p.listed("tls-cert", "etc/usher/fullchain.pem"), p.listed("tls-key", "etc/usher/privkey.pem")}
	p.server = serveConfigured(t, lines...)
	p.visitByOpenSSL()
	p.rotate()
	p.staple(ca, responder, lines)
	p.renew(ca, lines)
	p.server.stop()
}

// checkUnit has systemd read the page's unit, where it is there, and usher take its flags.
func (p *tlsPage) checkUnit() {
	p.Helper()
	unit := strings.ReplaceAll(p.blocks["ini Renewing"][0], "/usr/local/bin/usher", filepath.Join(p.dir, "bin/usher"))
	for _, command := range []string{"serve --config " + filepath.Join(p.dir, "usher.toml"), "reload"} {
		command += " --control /run/usher/usher.sock\n"
		if text := strings.ReplaceAll(unit, "/etc/usher/", p.dir+"/"); !strings.Contains(text, "bin/usher "+command) {
			p.Errorf("no %q in %s", command, text)
		}
	}
	p.put("usher.service", []byte(unit))
	output, err := p.command("sh", "-c", "systemd-analyze verify ./usher.service").CombinedOutput()
	if strings.Contains(string(output), "usher.service:") { // it tells of the machine's other units, too
		p.Errorf("systemd-analyze verify: %v\n%s", err, output)
	}
}

func (p *tlsPage) setting(key, file string) string {
	return fmt.Sprintf("%s = %q", key, filepath.Join(p.dir, file))
}

func (p *tlsPage) listed(key, file string) string {
	return fmt.Sprintf("%s = [%q]", key, filepath.Join(p.dir, file))
}

// visitByOpenSSL shows alice's certificate with the page's command.
func (p *tlsPage) visitByOpenSSL() {
	p.Helper()
	lines := strings.Split(strings.TrimSpace(p.blocks["sh Client certificates"][1]), "\n")
	words := strings.Fields(strings.Replace(lines[len(lines)-1], "localhost:8443", p.server.address, 1))
	cmd := p.command(words[0], words[1:]...)
	input, inputErr := cmd.StdinPipe()
	output, outputErr := cmd.StdoutPipe()
	if inputErr != nil || outputErr != nil {
		p.Fatal(inputErr, outputErr)
	}
	if err := cmd.Start(); err != nil {
		p.Fatal(err)
	}
	if _, err := io.WriteString(input, "hello\n"); err != nil {
		p.Error(err)
	}
	if line := make([]byte, len("hello\n")); true {
		if _, err := io.ReadFull(output, line); string(line) != "hello\n" || err != nil {
			p.Errorf("%q: %q, %v", words, line, err)
		}
	}
	_ = cmd.Process.Kill() // it would wait for the server's end
	_ = cmd.Wait()         // which is no error
}

// rotate rotates ticket keys, until there are as many as there may be and some are dropped.
func (p *tlsPage) rotate() {
	p.Helper()
	const section = "Session tickets, and several machines"
	keys := func() []string { return strings.Fields(p.read("ticket-keys")) }
	for range 8 {
		before := keys()
		p.mustRun(section, 1)
		added := keys()
		kept := before[1:min(len(before), 6)]
		if len(added) < 2 || added[0] != before[0] || !slices.Equal(added[2:], kept) {
			p.Fatalf("a key is added: %q, of %q", added, before)
		}
		if key, err := base64.StdEncoding.DecodeString(added[1]); len(key) != 32 || err != nil || slices.Contains(before, added[1]) {
			p.Errorf("the new key: %q, %v", added[1], err)
		}
		p.mustRun(section, 2)
		if want := append([]string{added[1], added[0]}, kept...); !slices.Equal(keys(), want) {
			p.Fatalf("it is the first: %q, want %q", keys(), want)
		}
	}
}

// staple fetches an OCSP answer, which is served then, and stays when no other comes.
func (p *tlsPage) staple(ca *certtest.CA, responder *responder, lines []string) {
	p.Helper()
	p.mustRun("OCSP", 0)
	fetched := p.read("cert.ocsp")
	p.server.write(append(slices.Clone(lines), p.listed("tls-ocsp", "cert.ocsp"))...)
	p.server.reload()
	if got := p.visit(ca); string(got.OCSPResponse) != fetched {
		p.Errorf("%d bytes of OCSP are served, want %d", len(got.OCSPResponse), len(fetched))
	}
	responder.about.Store(nil)
	if err := p.run("OCSP", 0); err == nil {
		p.Error("an answer is fetched where there is none")
	}
	if p.read("cert.ocsp") != fetched {
		p.Error("what cannot be fetched replaces what there is")
	}
}

// renew renews the certificate as certbot does.
func (p *tlsPage) renew(ca *certtest.CA, lines []string) {
	p.Helper()
	p.server.write(lines...)
	p.mustRun("Renewing", 0)
	renewed := p.issue(ca, "http://127.0.0.1/")
	p.mustRun("Renewing", 1, "RENEWED_LINEAGE="+filepath.Join(p.dir, "lineage"))
	if got := p.visit(ca); !got.PeerCertificates[0].Equal(renewed.Chain[0]) {
		p.Error("the hook does not change the certificate")
	}
}

// visit is one of a client that shows alice's certificate.
func (p *tlsPage) visit(ca *certtest.CA) tls.ConnectionState {
	p.Helper()
	alice, err := tls.LoadX509KeyPair(filepath.Join(p.dir, "alice.pem"), filepath.Join(p.dir, "alice-key.pem"))
	if err != nil {
		p.Fatal(err)
	}
	conn := echoed(p.T, p.server.address, &tls.Config{ServerName: "one.example", RootCAs: ca.Pool(), Certificates: []tls.Certificate{alice}})
	defer conn.Close()
	return conn.ConnectionState()
}

// responder answers by OCSP about one certificate, or fails while that is nil.
type responder struct {
	url   string
	about atomic.Pointer[certtest.Pair]
}

func newResponder(t *testing.T, ca *certtest.CA) *responder {
	r := new(responder)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		about := r.about.Load()
		if about == nil {
			http.Error(w, "out of order", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/ocsp-response")
		_, _ = io.Copy(w, bytes.NewReader(ocspAnswer(t, ca, about))) // openssl tells of a cut one
	}))
	t.Cleanup(s.Close)
	r.url = s.URL
	return r
}
