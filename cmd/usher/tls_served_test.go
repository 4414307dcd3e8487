package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/certtest"
	"golang.org/x/crypto/ocsp"
)

// serveAt starts a server with the listeners of args alone, in a folder.
func serveAt(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	control := filepath.Join(shortDir(t), "c")
	cmd, mark := command(append([]string{"serve", "--control", control}, args...)...)
	cmd.Dir = dir
	s := launchAs(t, cmd, mark, control)
	s.awaitStart()
	return s
}

// echoed sends a line over TLS and has it back. The connection stays open.
func echoed(t *testing.T, address string, config *tls.Config) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		t.Fatal(err)
	}
	hello(t, conn)
	return conn
}

func hello(t *testing.T, conn *tls.Conn) {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(limit)) // a socket has deadlines
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "hello\n" || err != nil {
		t.Fatalf("%q, %v", line, err)
	}
}

// A client gets the certificate of the name that it asks for, with its OCSP answer; one
// that asks for none, the listener's. After a reload new handshakes get new certificates,
// and those who are there stay.
func TestCertificatesServed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := certtest.NewCA(t, "test CA")
	first := ca.Issue(t, certtest.Want{Names: []string{"one.example"}})
	first.Chain = append(first.Chain, ca.Chain...)
	second := ca.Issue(t, certtest.Want{Names: []string{"*.two.example"}})
	first.Write(t, dir, "one")
	second.Write(t, dir, "two")
	writeFile(t, filepath.Join(dir, "one.ocsp"), string(ocspAnswer(t, ca, first)))
	s := serveAt(t, dir, "--workers", "2", "--listen", "tls://127.0.0.1:0", "--listen", "tls://127.0.0.1:0?cert=a.two.example",
		"--tls-cert", "one.pem,two.pem", "--tls-key", "one-key.pem,two-key.pem", "--tls-ocsp", "one.ocsp")
	status, err := s.status()
	if err != nil {
		t.Fatal(err)
	}
	shown := func(listener int, name string) (*tls.Conn, *x509.Certificate) {
		t.Helper()
		conn := echoed(t, status.Listeners[listener].Address, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		return conn, conn.ConnectionState().PeerCertificates[0]
	}
	for _, test := range []struct {
		listener int
		name     string
		want     *certtest.Pair
	}{{0, "one.example", first}, {0, "a.two.example", second}, {0, "", first}, {0, "else.example", first}, {1, "", second}, {1, "one.example", first}} {
		conn, got := shown(test.listener, test.name)
		if !got.Equal(test.want.Chain[0]) || (len(conn.ConnectionState().OCSPResponse) > 0) != (test.want == first) {
			t.Errorf("listener %d shows %v for %q", test.listener, got.DNSNames, test.name)
		}
		_ = conn.Close() // the test does not look at its end
	}

	stays, _ := shown(0, "one.example")
	defer stays.Close()
	renewed := ca.Issue(t, certtest.Want{Names: []string{"one.example"}})
	renewed.Chain = append(renewed.Chain, ca.Chain...)
	replace(t, filepath.Join(dir, "one.pem"), renewed.CertPEM())
	s.refusesReload("is not the key of")
	if conn, got := shown(0, "one.example"); !got.Equal(first.Chain[0]) {
		t.Error("a reload that is refused changes the certificate")
	} else {
		_ = conn.Close() // likewise
	}
	replace(t, filepath.Join(dir, "one-key.pem"), renewed.KeyPEM(t))
	s.refusesReload("is no OCSP answer, in DER, about one of the certificates")
	replace(t, filepath.Join(dir, "one.ocsp"), ocspAnswer(t, ca, renewed))
	s.reload()
	conn, got := shown(0, "one.example")
	if !got.Equal(renewed.Chain[0]) {
		t.Error("a reload does not change the certificate")
	}
	_ = conn.Close() // likewise
	hello(t, stays)
	_ = stays.Close() // so that the server ends at once
	s.stop()
}

func ocspAnswer(t *testing.T, ca *certtest.CA, about *certtest.Pair) []byte {
	t.Helper()
	answer, err := ocsp.CreateResponse(ca.Chain[0], ca.Chain[0], ocsp.Response{
		Status: ocsp.Good, SerialNumber: about.Chain[0].SerialNumber, // its issuer by SHA-1, as openssl ocsp asks
		ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
	}, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// With CAs for clients only who shows a certificate of theirs comes in.
func TestClientCertificatesWanted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, clients := certtest.NewCA(t, "servers"), certtest.NewCA(t, "clients")
	ca.Issue(t, certtest.Want{Names: []string{"one.example"}}).Write(t, dir, "one")
	clients.Write(t, dir, "clients")
	s := serveAt(t, dir, "--workers", "1", "--listen", "tls://127.0.0.1:0", "--tls-cert", "one.pem", "--tls-key", "one-key.pem", "--tls-client-ca", "clients.pem")
	good := clients.Issue(t, certtest.Want{Client: true}).TLS()
	bad := ca.Issue(t, certtest.Want{Client: true}).TLS()
	config := &tls.Config{ServerName: "one.example", RootCAs: ca.Pool()}
	for name, certificate := range map[string]*tls.Certificate{"none": nil, "another's": &bad} {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if certificate == nil {
				return new(tls.Certificate), nil
			}
			return certificate, nil
		}
		conn, err := tls.Dial("tcp", s.address, config)
		if err == nil { // TLS 1.3: the server answers after the client's side is done
			_, err = conn.Read(make([]byte, 1))
			_ = conn.Close() // the test has what it wants
		}
		if err == nil || !strings.Contains(err.Error(), "tls: ") {
			t.Errorf("with the certificate %s: %v", name, err)
		}
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &good, nil }
	_ = echoed(t, s.address, config).Close() // it has had its answer
	s.stop()
}

// Two machines that share ticket keys resume each other's sessions; with a new key on the
// second line, and then on the first, they go on to.
func TestTicketKeysShared(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := certtest.NewCA(t, "test CA")
	ca.Issue(t, certtest.Want{Names: []string{"one.example"}}).Write(t, dir, "one")
	key := func(letter string) string {
		return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(letter, 32))) + "\n"
	}
	keys := func(machine int) string { return filepath.Join(dir, fmt.Sprintf("tickets%d", machine)) }
	var machines [2]*server
	for i := range machines {
		replace(t, keys(i), []byte(key("a")))
		machines[i] = serveAt(t, dir, "--workers", "1", "--listen", "tls://127.0.0.1:0", "--tls-cert", "one.pem", "--tls-key", "one-key.pem", "--tls-ticket-keys", keys(i))
	}
	client := &tls.Config{ServerName: "one.example", RootCAs: ca.Pool(), ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	visit := func(machine int, resumes bool) {
		t.Helper()
		conn := echoed(t, machines[machine].address, client)
		if conn.ConnectionState().DidResume != resumes {
			t.Errorf("machine %d: resumed %t", machine, !resumes)
		}
		_ = conn.Close() // it has had its answer, and the ticket before it
	}
	visit(0, false)
	visit(1, true)
	replace(t, keys(1), []byte(key("a")+key("b")))
	machines[1].reload()
	visit(0, true)
	visit(1, true)
	replace(t, keys(0), []byte(key("b")+key("a")))
	machines[0].reload()
	visit(0, true) // and is given a ticket by the new key
	visit(1, true)
	replace(t, keys(1), []byte(key("c")))
	machines[1].reload()
	visit(1, false)
	for _, s := range machines {
		s.stop()
	}
}

// What the page tells a stranger to type does work.
func TestQuickStartOfTLS(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("there is no openssl")
	}
	blocks := pageBlocks(t, "docs/tls.md")["sh Quick start"]
	commands := strings.Split(strings.TrimSpace(blocks[0]+blocks[1]), "\n")
	if len(commands) != 3 || !strings.HasPrefix(commands[2], "openssl ") {
		t.Fatalf("%q", commands)
	}
	dir := t.TempDir()
	in := func(line string) []string { return strings.Fields(strings.TrimPrefix(line, "usher ")) }
	selfSigned, _ := command(in(commands[0])...)
	selfSigned.Dir = dir
	if output, err := selfSigned.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", commands[0], err, output)
	}
	s := serveAt(t, dir, append(in(strings.Replace(commands[1], ":8443", ":0", 1))[1:], "--workers", "1")...)
	pageShows(t, "docs/tls.md", s.started)
	client := exec.Command(openssl, strings.Fields(strings.Replace(commands[2], "localhost:8443", s.address, 1))[1:]...)
	client.Dir = dir
	input, err := client.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := client.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(input, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(output).ReadString('\n'); line != "hello\n" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	_ = client.Process.Kill() // it would wait for the server's end
	_ = client.Wait()         // which is no error
	s.stop()
}
