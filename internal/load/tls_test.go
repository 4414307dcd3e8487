package load

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/certtest"
)

// authority issues the certificates of these tests; file is its own.
type authority struct {
	*certtest.CA
	file string
}

func newAuthority(t testing.TB) authority {
	ca := certtest.NewCA(t, "load")
	file, _ := ca.Write(t, t.TempDir(), "ca")
	return authority{ca, file}
}

// config is of a server for the names.
func (a authority) config(t testing.TB, names ...string) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{a.Issue(t, certtest.Want{Names: names}).TLS()}}
}

// serveTLS serves connections after their handshakes, until the test ends.
func serveTLS(t testing.TB, config *tls.Config, serve func(*tls.Conn)) (address string) {
	return serveConns(t, func(c net.Conn) {
		secure := tls.Server(c, config)
		if secure.Handshake() == nil { // else the client has an error to tell
			serve(secure)
		}
	})
}

// echoTLS ends each connection in order.
func echoTLS(c *tls.Conn) {
	_, _ = io.Copy(c, c) // the client sees what it lacks
	_ = c.Close()        // likewise
}

// Every way of putting load on a server, over both versions: all answers come, and
// handshakes are counted as what they were.
func TestTLS(t *testing.T) {
	ca := newAuthority(t)
	address := serveTLS(t, ca.config(t, "127.0.0.1"), echoTLS)
	for _, version := range []string{"1.2", "1.3"} {
		for _, test := range []struct {
			name       string
			change     func(*Plan)
			handshakes int64
			resumed    int64 // at least
		}{
			{"steady", func(p *Plan) {}, 4, 0},
			{"pipelined", func(p *Plan) { p.Pipeline = 16 }, 4, 0},
			{"large", func(p *Plan) { p.Size, p.Requests = 1<<20, 8 }, 4, 0},
			{"at a rate", func(p *Plan) { p.Rate = 2000 }, 4, 0},
			{"lines", func(p *Plan) { p.Mode = Lines }, 4, 0},
			{"churn", func(p *Plan) { p.Churn, p.Requests = true, 24 }, 24, 12},
			{"churn at a rate", func(p *Plan) { p.Churn, p.Rate, p.Requests = true, 1000, 24 }, 24, 12},
			{"full", func(p *Plan) { p.Churn, p.Requests, p.TLS.NoResume = true, 24, true }, 24, 0},
			{"held", func(p *Plan) { p.Idle, p.Conns, p.Requests, p.Duration = 20, 0, 0, time.Millisecond }, 20, 0},
		} {
			t.Run(version+" "+test.name, func(t *testing.T) {
				p := plan()
				p.Address, p.TLS = address, &TLS{CA: ca.file, Version: version}
				test.change(&p)
				if err := p.Check(); err != nil {
					t.Fatal(err)
				}
				r, err := Run(t.Context(), &p, nil, nil)
				if err != nil || !r.OK || r.Requests != p.Requests || r.Connections != test.handshakes {
					t.Fatalf("%+v, %v", r, err)
				}
				if h := r.TLS; h.Handshakes != test.handshakes || h.Resumed < test.resumed || p.TLS.NoResume && h.Resumed > 0 || len(h.Sessions) != 1 {
					t.Errorf("%+v", h)
				}
				for session := range r.TLS.Sessions {
					if !strings.HasPrefix(session, "TLS "+version+", TLS_") {
						t.Error(session)
					}
				}
			})
		}
	}
}

// A suite can be pinned: of TLS 1.2 by offering no other, of 1.3 by an error.
func TestTLSSuite(t *testing.T) {
	ca := newAuthority(t)
	config := ca.config(t, "127.0.0.1")
	address := serveTLS(t, config, echoTLS)
	for _, test := range []struct{ suite, wrong string }{
		{"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", ""},
		{"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", ""},
		{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "handshake failure"},
		{"TLS_AES_256_GCM_SHA384", "pin it at the server"}, // crypto/tls prefers AES-128
	} {
		p := plan()
		p.Address, p.TLS = address, &TLS{CA: ca.file, Suite: test.suite}
		r, err := Run(t.Context(), &p, nil, nil)
		switch {
		case err != nil:
			t.Fatal(err)
		case test.wrong == "" && !r.OK:
			t.Errorf("%s: %+v", test.suite, r)
		case test.wrong != "" && (r.Errors[KindTLS] == 0 || len(r.Advice) != 1 || !strings.Contains(r.Advice[0], test.wrong)):
			t.Errorf("%s: %+v", test.suite, r)
		}
	}
}

// A client's certificate is shown to a server that asks for one; without, the server's
// alert is what is told, whenever it comes.
func TestTLSClientCertificate(t *testing.T) {
	ca := newAuthority(t)
	config := ca.config(t, "server.example")
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool()
	address := serveTLS(t, config, echoTLS)
	cert, key := ca.Issue(t, certtest.Want{Client: true}).Write(t, t.TempDir(), "client")
	for _, version := range []string{"1.2", "1.3"} {
		p := plan()
		p.Address, p.TLS = address, &TLS{CA: ca.file, ServerName: "server.example", Version: version, Cert: cert, Key: key}
		if r, err := Run(t.Context(), &p, nil, nil); err != nil || !r.OK {
			t.Errorf("%+v, %v", r, err)
		}
		p.TLS.Cert, p.TLS.Key, p.Requests = "", "", 4
		r, err := Run(t.Context(), &p, nil, nil)
		if err != nil || r.OK || r.Errors[KindTLS] != 4 || !strings.Contains(strings.Join(r.Advice, "\n"), "remote error") {
			t.Errorf("%s: %+v, %v", version, r, err)
		}
	}
}

// What is wrong with a server, or what it does to its first client, has its kind and its
// advice; one that cannot be verified is not asked again and again.
func TestTLSErrors(t *testing.T) {
	ca := newAuthority(t)
	config := ca.config(t, "server.example")
	for _, test := range []struct {
		name, kind, advice string
		tls                TLS
		serve              func(net.Conn)
	}{
		{"unknown authority", KindTLS, "give --ca FILE", TLS{ServerName: "server.example"}, nil},
		{"another name", KindTLS, "give --server-name NAME", TLS{CA: ca.file}, nil},
		{"not verified", "", "", TLS{Insecure: true}, nil},
		{"plain", KindTLS, "does not answer with TLS", TLS{Insecure: true}, func(c net.Conn) { write(c, "220 mail.example ready\r\n") }},
		{"silent", KindTimeout, "", TLS{Insecure: true}, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }},
		{"ends at once", KindClosed, "during the handshake", TLS{Insecure: true}, func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }},
		{"cut", KindClosed, "without a close_notify", TLS{Insecure: true}, func(c net.Conn) {
			secure := tls.Server(c, config)
			_, _ = io.ReadFull(secure, make([]byte, 64)) // the client's error says what went wrong
		}},
		{"ends in order", KindClosed, "", TLS{Insecure: true}, func(c net.Conn) {
			secure := tls.Server(c, config)
			_, _ = io.ReadFull(secure, make([]byte, 64)) // likewise
			_ = secure.Close()
		}},
		{"garbled", KindTLS, "bad record MAC", TLS{Insecure: true}, func(c net.Conn) {
			secure := tls.Server(c, config)
			_, _ = io.ReadFull(secure, make([]byte, 64)) // likewise
			write(c, "\x17\x03\x03\x00\x20"+strings.Repeat("x", 0x20))
			_, _ = io.Copy(io.Discard, c)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var before atomic.Bool
			p := plan()
			p.Address, p.TLS, p.Conns, p.Requests = serveConns(t, func(c net.Conn) {
				if !before.Swap(true) && test.serve != nil {
					test.serve(c)
					return
				}
				echoTLS(tls.Server(c, config))
			}), &test.tls, 1, 2
			if test.kind == KindTimeout {
				p.Timeout = 100 * time.Millisecond
			}
			r, err := Run(t.Context(), &p, nil, nil)
			want := map[string]int64{test.kind: 1}
			if test.kind == "" {
				want = map[string]int64{}
			}
			if err != nil || !maps.Equal(r.Errors, want) || !strings.Contains(strings.Join(r.Advice, "\n"), test.advice) {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// A plain client of a server that wants TLS is told so, whatever it speaks.
func TestTLSIsWanted(t *testing.T) {
	for _, mode := range []string{Echo, Lines} {
		p := plan()
		p.Mode, p.Conns, p.Requests = mode, 1, 1
		p.Address = serveConns(t, func(c net.Conn) {
			_, _ = io.ReadFull(c, make([]byte, 64))  // the client's error says what went wrong
			write(c, "\x15\x03\x01\x00\x02\x02\x0a") // as OpenSSL does: unexpected_message
		})
		r, err := Run(t.Context(), &p, nil, nil)
		if err != nil || r.Errors[KindTLS] != 1 || len(r.Advice) != 1 || !strings.Contains(r.Advice[0], "give --tls") {
			t.Errorf("%s: %+v, %v", mode, r, err)
		}
	}
}

// Answers that end with their connection are whole if TLS has said so.
func TestTLSEndsAnswer(t *testing.T) {
	config := newAuthority(t).config(t, "server.example")
	for _, whole := range []bool{true, false} {
		var cut atomic.Bool // the first
		cut.Store(!whole)
		p := httpPlan(serveTLS(t, config, func(c *tls.Conn) {
			answering(func(w io.Writer) bool {
				write(w, "HTTP/1.0 200 OK\r\n\r\nhello")
				return false
			})(c)
			if !cut.Swap(false) {
				_ = c.Close() // the client sees what it lacks
			}
		}))
		p.TLS = &TLS{Insecure: true}
		p.Conns, p.Requests = 1, 3
		r, err := Run(t.Context(), p, nil, nil)
		if err != nil || r.OK != whole || whole && r.Requests != 3 || !whole && (r.Requests != 2 || r.Errors[KindCut] != 1) {
			t.Errorf("whole %v: %+v, %v", whole, r, err)
		}
	}
}

// One that is interrupted while hands are shaken leaves nothing behind (TestMain looks).
func TestTLSInterrupted(t *testing.T) {
	heard := make(chan struct{}, 4)
	address := serveConns(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096)) // the client is there
		heard <- struct{}{}
		_, _ = io.Copy(io.Discard, c)
	})
	p := plan()
	p.Address, p.TLS = address, &TLS{Insecure: true}
	e := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_, err := Run(ctx, &p, nil, nil)
		e <- err
	}()
	for range p.Conns {
		<-heard
	}
	cancel()
	if err := <-e; err != nil {
		t.Error(err)
	}
}

// Wrong settings have their reasons.
func TestTLSCheck(t *testing.T) {
	ca := newAuthority(t)
	missing := filepath.Join(t.TempDir(), "missing")
	for reason, with := range map[string]TLS{
		"no TLS version":       {Version: "1.1"},
		"TLS_AES_128_GCM":      {Suite: "AES"},
		"not one of TLS 1.3":   {Suite: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", Version: "1.3"},
		"authorities: open":    {CA: missing},
		"no certificate in":    {CA: "tls_test.go"},
		"goes with its key":    {Cert: ca.file},
		"client's certificate": {Cert: missing, Key: missing},
	} {
		p := plan()
		p.TLS = &with
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%v; want %q", err, reason)
		}
	}
	p := plan()
	p.Address, p.TLS = "unix:///nowhere", &TLS{}
	if err := p.Check(); err == nil || !strings.Contains(err.Error(), "--server-name") {
		t.Error(err)
	}
}

// An explanation is the error itself where there is nothing to advise.
func TestExplainTLS(t *testing.T) {
	if got := explainTLS(errors.New("word")); got != "word" {
		t.Error(got)
	}
}

// Steady requests over TLS, at this end.
func BenchmarkRoundTripTLS(b *testing.B) {
	ca := newAuthority(b)
	p := plan()
	p.Address, p.TLS = serveTLS(b, ca.config(b, "127.0.0.1"), echoTLS), &TLS{CA: ca.file}
	p.Requests, p.Conns = int64(b.N), 1
	b.ReportAllocs()
	if r, err := Run(b.Context(), &p, nil, nil); err != nil || r.Requests != int64(b.N) {
		b.Fatalf("%+v, %v", r, err)
	}
}
