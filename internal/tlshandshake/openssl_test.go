package tlshandshake

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestOpenSSL has openssl's client connect, resume, send a line and get it back.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed: ", err)
	}
	files := t.TempDir()
	ca := filepath.Join(files, "ca.pem")
	writePEM(t, ca, &pem.Block{Type: "CERTIFICATE", Bytes: root().certificate.Raw})
	certificate := root().issue("a client", rsaKey())
	client := filepath.Join(files, "client.pem")
	writePEM(t, client,
		&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]},
		&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(certificate.PrivateKey))})

	tests := []struct {
		name    string
		args    string
		version uint16
		suite   uint16
	}{
		{"1.3", "-tls1_3", tls.VersionTLS13, 0},
		{"1.3, AES-256", "-tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384", tls.VersionTLS13, tls.TLS_AES_256_GCM_SHA384},
		{"1.3, ChaCha20", "-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256", tls.VersionTLS13, tls.TLS_CHACHA20_POLY1305_SHA256},
		{"1.3, without middlebox compatibility", "-tls1_3 -no_middlebox", tls.VersionTLS13, 0},
		{"1.3, retried", "-tls1_3 -groups P-521:P-384", tls.VersionTLS13, 0},
		{"1.2", "-tls1_2", tls.VersionTLS12, 0},
		{"1.2, ChaCha20", "-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305", tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
		{"1.2, small records", "-tls1_2 -maxfraglen 512", tls.VersionTLS12, 0},
		{"1.2, without tickets", "-tls1_2 -no_ticket", tls.VersionTLS12, 0},
		{"1.2, without EMS", "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256 -no_ems", tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	}
	help, _ := exec.Command(openssl, "s_client", "-help").CombinedOutput() // what is missing is skipped
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for arg := range strings.FieldsSeq(test.args) {
				if strings.HasPrefix(arg, "-") && !strings.Contains(string(help), " "+arg+" ") {
					t.Skip("this openssl has no ", arg)
				}
			}
			session := filepath.Join(files, fmt.Sprint(i))
			args := append(strings.Fields(test.args), "-quiet", "-CAfile", ca, "-verify_return_error", "-servername", "example.com",
				"-cert", client, "-key", client, "-sess_out", session)
			result := speak(t, openssl, args)
			if result.Version != test.version || test.suite != 0 && result.CipherSuite != test.suite || result.Resumed || len(result.PeerCertificates) == 0 {
				t.Errorf("%s, %s, resumed %v, %d certificates", tls.VersionName(result.Version), tls.CipherSuiteName(result.CipherSuite), result.Resumed, len(result.PeerCertificates))
			}
			if strings.Contains(test.args, "-no_ticket") {
				return
			}
			if result = speak(t, openssl, append(args, "-sess_in", session)); !result.Resumed || len(result.PeerCertificates) == 0 {
				t.Errorf("resumed %v, %d certificates", result.Resumed, len(result.PeerCertificates))
			}
		})
	}
}

func writePEM(t *testing.T, file string, blocks ...*pem.Block) {
	t.Helper()
	var text []byte
	for _, b := range blocks {
		text = append(text, pem.EncodeToMemory(b)...)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// speak has openssl connect to a server that echoes, and exchange some lines.
func speak(t *testing.T, openssl string, args []string) *Result {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	listener.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute)) // for one that does not connect
	client := exec.Command(openssl, append([]string{"s_client", "-connect", listener.Addr().String()}, args...)...)
	stdin, stdout := must(client.StdinPipe()), must(client.StdoutPipe())
	var stderr strings.Builder
	client.Stderr = &stderr
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		client.Process.Kill()
		client.Wait() // killed
	}()
	config := withCA(root())
	config.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP384}
	conn, err := listener.Accept()
	if err != nil {
		t.Fatalf("%v; openssl %q says:\n%s", err, args, &stderr)
	}
	s := start(t, conn, &server{pool: NewPool(1), config: config})
	got := <-s.result
	if got.err != nil {
		t.Fatalf("%v; openssl %q says:\n%s", got.err, args, &stderr)
	}
	lines := bufio.NewScanner(stdout)
	for i := range 3 {
		want := fmt.Sprintf("line %d", i)
		fmt.Fprintln(stdin, want)
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("got %q, want %q; openssl says:\n%s", lines.Text(), want, &stderr)
		}
	}
	return got.Result
}
