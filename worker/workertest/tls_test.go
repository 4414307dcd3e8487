package workertest_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/certtest"
	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/workertest"
	"go.uber.org/goleak"
)

func ExampleServeTLS() {
	t := &testing.T{}                  // that of the test
	lent := httptest.NewTLSServer(nil) // some certificate for 127.0.0.1, and a client that trusts it
	defer lent.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := workertest.ServeTLS(t, l, shout, workertest.TLS{Certificates: lent.TLS.Certificates})
	defer s.Close() // in a test it is closed by itself

	roots := x509.NewCertPool()
	roots.AddCert(lent.Certificate())
	c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answer := make([]byte, 6)
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, answer); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%s", answer)
	// Output: HELLO
}

// tell answers a line with what a session is told of TLS.
var tell = worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
	n := strings.LastIndexByte(string(in), '\n') + 1
	if n == 0 {
		return 0, nil
	}
	s, secure := c.TLS()
	shown := ""
	if len(s.PeerCertificates) > 0 {
		shown = s.PeerCertificates[0].Subject.CommonName
	}
	_, err := fmt.Fprintf(c, "%t %s %q %q %q\n", secure, tls.VersionName(s.Version), s.ServerName, s.ALPN, shown)
	return n, err
})

// Clients are served by TLS, with what the test has given to the server; and nothing is
// left behind.
func TestServeTLS(t *testing.T) {
	listen(t, "tcp").Close() // the runtime's poller has its descriptors from here on
	ca := certtest.NewCA(t, "CA")
	rsa := ca.Issue(t, certtest.Want{Names: []string{"a.test"}, Key: certtest.RSA(t)}).TLS()
	ecdsa := ca.Issue(t, certtest.Want{Names: []string{"b.test"}}).TLS()
	expired := ca.Issue(t, certtest.Want{Names: []string{"a.test"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)}).TLS()
	client := ca.Issue(t, certtest.Want{Names: []string{"client"}, Client: true}).TLS()
	tests := []struct {
		name    string
		with    workertest.TLS
		opts    []worker.Option
		client  *tls.Config
		want    string // what it reads
		refuses string // what its error says
	}{
		{name: "TLS 1.3", with: workertest.TLS{Certificates: []tls.Certificate{rsa}},
			client: &tls.Config{ServerName: "a.test"}, want: `true TLS 1.3 "a.test" "" ""`},
		{name: "TLS 1.2", with: workertest.TLS{Certificates: []tls.Certificate{rsa}},
			client: &tls.Config{ServerName: "a.test", MaxVersion: tls.VersionTLS12}, want: `true TLS 1.2 "a.test" "" ""`},
		{name: "not below the least version", with: workertest.TLS{Certificates: []tls.Certificate{rsa}, MinVersion: tls.VersionTLS13},
			client: &tls.Config{ServerName: "a.test", MaxVersion: tls.VersionTLS12}, refuses: "protocol version"},
		{name: "by the name", with: workertest.TLS{Certificates: []tls.Certificate{rsa, ecdsa}},
			client: &tls.Config{ServerName: "b.test"}, want: `true TLS 1.3 "b.test" "" ""`},
		{name: "ALPN", with: workertest.TLS{Certificates: []tls.Certificate{ecdsa}}, opts: []worker.Option{worker.WithALPN("x/1")},
			client: &tls.Config{ServerName: "b.test", NextProtos: []string{"y", "x/1"}}, want: `true TLS 1.3 "b.test" "x/1" ""`},
		{name: "a client's certificate", with: workertest.TLS{Certificates: []tls.Certificate{ecdsa}, ClientCAs: ca.Chain},
			client: &tls.Config{ServerName: "b.test", Certificates: []tls.Certificate{client}}, want: `true TLS 1.3 "b.test" "" "client"`},
		{name: "a client without one", with: workertest.TLS{Certificates: []tls.Certificate{ecdsa}, ClientCAs: ca.Chain},
			client: &tls.Config{ServerName: "b.test"}, refuses: "certificate required"},
		{name: "an expired one", with: workertest.TLS{Certificates: []tls.Certificate{expired}},
			client: &tls.Config{ServerName: "a.test"}, refuses: "expired"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			goroutines, descriptors := goleak.IgnoreCurrent(), leaktest.Count(t)
			l := listen(t, "tcp")
			s := workertest.ServeTLS(t, l, tell, test.with, test.opts...)
			test.client.RootCAs = ca.Pool()
			got, err := askTLS(t, l.Addr().String(), test.client)
			switch {
			case test.refuses != "":
				if err == nil || !strings.Contains(err.Error(), test.refuses) {
					t.Errorf("got %q and %v, want an error about %q", got, err, test.refuses)
				}
			case err != nil || got != test.want+"\n":
				t.Errorf("got %q and %v, want %q", got, err, test.want)
			}
			s.Close()
			if after := leaktest.Count(t); after > descriptors {
				t.Errorf("%d descriptors open before, %d after", descriptors, after)
			}
			if err := goleak.Find(goroutines); err != nil {
				t.Error(err)
			}
		})
	}
}

// askTLS sends a line, and reads to the end.
func askTLS(t *testing.T, address string, config *tls.Config) (string, error) {
	t.Helper()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", address, config)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience)) // a test that hangs fails
	if _, err = io.WriteString(c, "who am I?\n"); err == nil {
		err = c.CloseWrite()
	}
	got, readErr := io.ReadAll(c)
	return string(got), errors.Join(err, readErr)
}

// Who does not shake hands in time is closed.
func TestServeTLSHandshakeTimeout(t *testing.T) {
	leaktest.Descriptors(t)
	ca := certtest.NewCA(t, "CA")
	l := listen(t, "tcp")
	workertest.ServeTLS(t, l, tell, workertest.TLS{
		Certificates: []tls.Certificate{ca.Issue(t, certtest.Want{Names: []string{"a.test"}}).TLS()}, HandshakeTimeout: time.Microsecond,
	})
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience)) // a test that hangs fails
	if _, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("got %v, want the end", err)
	}
}

// What cannot be served ends the test at once, and the listener is closed.
func TestServeTLSRefuses(t *testing.T) {
	ca := certtest.NewCA(t, "CA")
	one, other := ca.Issue(t, certtest.Want{}).TLS(), ca.Issue(t, certtest.Want{}).TLS()
	mixed := one
	mixed.PrivateKey = other.PrivateKey
	keyless := one
	keyless.PrivateKey = nil
	tests := []struct {
		name string
		with workertest.TLS
		want string
	}{
		{"no certificate", workertest.TLS{}, "there is no certificate"},
		{"another's key", workertest.TLS{Certificates: []tls.Certificate{one, mixed}}, "certificate 2: the key is not the certificate's"},
		{"no key", workertest.TLS{Certificates: []tls.Certificate{keyless}}, "certificate 1: its key"},
		{"an old version", workertest.TLS{Certificates: []tls.Certificate{one}, MinVersion: tls.VersionTLS11}, "TLS 1.1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l, failed := listen(t, "tcp"), &failing{TB: t}
			done := make(chan struct{})
			go func() { // which Fatal ends
				defer close(done)
				workertest.ServeTLS(failed, l, tell, test.with)
			}()
			if <-done; !strings.Contains(failed.said, test.want) {
				t.Errorf("failed with %q, want %q", failed.said, test.want)
			}
			if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the listener is open: %v", err)
			}
		})
	}
}

// Whatever a worker does not start for is the test's error.
func TestServeFails(t *testing.T) {
	l, failed := listen(t, "tcp"), &failing{TB: t}
	done := make(chan struct{})
	go func() { // which Fatal ends
		defer close(done)
		workertest.Serve(failed, l, tell, worker.WithHooks(worker.Hooks{Start: func() error { return errors.New("no database") }}))
	}()
	if <-done; !strings.Contains(failed.said, "no database") {
		t.Errorf("failed with %q", failed.said)
	}
}

// failing is a test that keeps for itself why it has failed.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Fatal(args ...any) {
	f.said = fmt.Sprint(args...)
	runtime.Goexit()
}
