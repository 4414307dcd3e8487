package main

import (
	"crypto/tls"
	"io"
	"strings"
	"testing"

	"github.com/usher-go/usher/internal/certtest"
)

// usher bench is a client of any TLS server: it resumes sessions, in each of its
// processes, unless it is told not to, and says what to do about an authority that it
// does not know.
func TestBenchTLS(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA(t, "bench")
	file, _ := ca.Write(t, t.TempDir(), "ca")
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{ca.Issue(t, certtest.Want{Names: []string{"server.example"}}).TLS()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() }) // the connections end with their clients
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn) // the client sees what it lacks
				_ = conn.Close()           // likewise
			}()
		}
	}()
	args := []string{"echo", listener.Addr().String(), "--tls", "--ca", file, "--server-name=server.example", "--requests=40", "--conns=4"}
	r := bench(t, 0, append(args, "--churn", "--processes=2")...)
	if r.TLS == nil || r.TLS.Handshakes != 40 || r.TLS.Resumed < 10 || r.TLS.PerSecond <= 0 || r.TLS.Latency == nil {
		t.Errorf("%+v", r.TLS)
	}
	r = bench(t, 0, append(args, "--churn", "--no-resume", "--tls-version=1.2", "--tls-suite=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")...)
	if r.TLS.Handshakes != 40 || r.TLS.Resumed != 0 || r.TLS.Sessions["TLS 1.2, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"] != 40 {
		t.Errorf("%+v", r.TLS)
	}
	got := usher(t, append([]string{"bench"}, args...)...)
	if got.code != 0 || !containsAll(got.stdout, "4 handshakes", "0 of all resumed", "TLS 1.3, TLS_AES_128_GCM_SHA256: 4") {
		t.Errorf("%+v", got)
	}
	got = usher(t, "bench", "echo", args[1], "--tls", "--server-name=server.example", "--requests=4", "--conns=1")
	if got.code != exitFailed || !strings.Contains(got.stdout, "give --ca FILE, or --insecure") {
		t.Errorf("%+v", got)
	}
}
