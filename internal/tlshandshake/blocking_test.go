package tlshandshake_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/tlshandshake"
)

// blockingPair returns a server's configuration, and a client's that trusts it.
func blockingPair(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"example"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return server, &tls.Config{RootCAs: roots, ServerName: "example"}
}

// served is what Serve has returned.
type served struct {
	conn *tls.Conn
	err  error
}

// blockingServe serves one end of a pipe, and returns the other.
func blockingServe(p *tlshandshake.Pool, config *tls.Config) (net.Conn, net.Conn, <-chan served) {
	client, server := net.Pipe()
	result := make(chan served, 1)
	waiting := false
	go func() {
		conn, err := p.Serve(server, config, func(waits bool) {
			if waits == waiting {
				panic("it begins to wait twice")
			}
			waiting = waits
		})
		if waiting {
			panic("it still waits")
		}
		result <- served{conn, err}
	}()
	return client, server, result
}

// shakeHands does a client's handshake, and sees that bytes pass.
func shakeHands(t *testing.T, client net.Conn, config *tls.Config, result <-chan served) *tls.Conn {
	t.Helper()
	c := tls.Client(client, config)
	passed := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, "hello") // with the handshake
		passed <- err
	}()
	r := <-result
	if r.err != nil {
		t.Fatal(r.err)
	}
	var b [5]byte
	if _, err := io.ReadFull(r.conn, b[:]); err != nil || string(b[:]) != "hello" {
		t.Fatalf("%q, %v", b, err)
	}
	if err := <-passed; err != nil {
		t.Fatal(err)
	}
	return r.conn
}

func TestServe(t *testing.T) {
	pool := tlshandshake.NewPool(1)
	server, client := blockingPair(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := client.Clone()
		client.MaxVersion = version
		ours, theirs, result := blockingServe(pool, server)
		c := shakeHands(t, ours, client, result)
		if got := c.ConnectionState(); !got.HandshakeComplete || got.Version != version {
			t.Errorf("%+v", got)
		}
		if got := c.NetConn().(interface{ NetConn() net.Conn }).NetConn(); got != theirs {
			t.Errorf("it is on %v", got)
		}
		ours.Close()
		theirs.Close()
	}
}

// A peer that says nothing has no place, and neither has one that takes nothing: a pipe
// holds no byte.
func TestServeWaitsWithoutPlace(t *testing.T) {
	pool := tlshandshake.NewPool(1)
	server, client := blockingPair(t)
	end := make(chan struct{})
	var ends []io.Closer
	var results []<-chan served
	for range 10 {
		silent, _, result := blockingServe(pool, server)
		deaf, _, deafResult := blockingServe(pool, server)
		go func() { _ = tls.Client(unread{deaf, end}, client).Handshake() }() // it fails at the end
		ends = append(ends, silent, deaf)
		results = append(results, result, deafResult)
	}
	ours, theirs, result := blockingServe(pool, server)
	shakeHands(t, ours, client, result)
	ours.Close()
	theirs.Close()
	close(end)
	for _, end := range ends {
		end.Close()
	}
	for _, result := range results {
		var e *tlshandshake.Error
		if r := <-result; !errors.As(r.err, &e) || e.Reason != tlshandshake.Closed {
			t.Errorf("got %v", r.err)
		}
	}
}

// unread is a connection that is not read before it is to end.
type unread struct {
	net.Conn
	end <-chan struct{}
}

func (c unread) Read([]byte) (int, error) {
	<-c.end
	return 0, io.EOF
}

// No more compute at a time than there are places.
func TestServePlaces(t *testing.T) {
	const places = 2
	pool := tlshandshake.NewPool(places)
	server, client := blockingPair(t)
	var now, most atomic.Int32
	certificate := server.Certificates[0]
	server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		runtime.Gosched()
		now.Add(-1)
		return &certificate, nil
	}
	server.Certificates = nil
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			ours, theirs, result := blockingServe(pool, server)
			shakeHands(t, ours, client, result)
			ours.Close()
			theirs.Close()
		})
	}
	all.Wait()
	if got := most.Load(); got > places {
		t.Errorf("%d at a time", got)
	}
}

func TestServeRefuses(t *testing.T) {
	pool := tlshandshake.NewPool(1)
	server, client := blockingPair(t)
	panics := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { panic("a bug") }}
	picky := server.Clone()
	picky.ClientAuth = tls.RequireAnyClientCert
	tests := []struct {
		name   string
		config *tls.Config
		client func(client, server net.Conn)
		want   tlshandshake.Reason
		answer bool
	}{
		{"HTTP", server, send("GET / HTTP/1.1\r\n\r\n"), tlshandshake.PlainHTTP, true},
		{"junk", server, send("hello, world"), tlshandshake.NotTLS, false},
		{"nothing", server, func(client, _ net.Conn) { client.Close() }, tlshandshake.Closed, false},
		{"too little", server, func(client, _ net.Conn) { io.WriteString(client, "\x16\x03\x01"); client.Close() }, tlshandshake.Closed, false},
		{"too late", server, func(_, server net.Conn) { server.SetDeadline(time.Now().Add(-time.Second)) }, tlshandshake.Timeout, false},
		{"closed here", server, func(_, server net.Conn) { server.Close() }, tlshandshake.Closed, false},
		{"a record too long", server, send("\x16\x03\x01\xff\xff"), tlshandshake.Malformed, false},
		{"SSL 2.0", server, send("\x80\x2e\x01\x00\x02"), tlshandshake.UnsupportedVersion, false},
		{"an alert", server, shake(&tls.Config{ServerName: "example", RootCAs: x509.NewCertPool()}), tlshandshake.Refused, false},
		{"old", server, shake(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}), tlshandshake.UnsupportedVersion, false},
		{"no certificate", picky, shake(client), tlshandshake.NoCertificate, false},
		{"a panic", panics, shake(client), tlshandshake.Internal, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ours, theirs, result := blockingServe(pool, test.config)
			defer theirs.Close()
			defer ours.Close()
			go func() {
				test.client(ours, theirs)
				_, _ = io.Copy(io.Discard, ours) // alerts, until the end
			}()
			r := <-result
			var e *tlshandshake.Error
			if !errors.As(r.err, &e) {
				t.Fatalf("got %v", r.err)
			}
			if e.Reason != test.want || (e.Answer() != nil) != test.answer {
				t.Errorf("%v, answer %q", e, e.Answer())
			}
		})
	}
	// Whatever happened, the one place is there.
	ours, theirs, result := blockingServe(pool, server)
	shakeHands(t, ours, client, result)
	ours.Close()
	theirs.Close()
}

func send(s string) func(client, server net.Conn) {
	return func(client, _ net.Conn) { _, _ = io.WriteString(client, s) } // the server may read less
}

func shake(config *tls.Config) func(client, server net.Conn) {
	return func(client, _ net.Conn) { _ = tls.Client(client, config).Handshake() } // it fails
}
