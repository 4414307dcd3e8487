package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"sync/atomic"
	"testing"
)

// serveHTTP serves by net/http until the test ends; config nil: without TLS.
func serveHTTP(t testing.TB, config *tls.Config, handler nethttp.HandlerFunc) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = listener.Addr().String()
	if config != nil {
		listener = tls.NewListener(listener, config)
	}
	server := &nethttp.Server{Handler: handler}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // until it is closed
	}()
	t.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil { // which waits for connections
			t.Error(err)
		}
		<-done
	})
	return address
}

// back sends what comes back while more comes, so that it stops reading when the client
// does.
func back(w nethttp.ResponseWriter, r *nethttp.Request) {
	if err := nethttp.NewResponseController(w).EnableFullDuplex(); err != nil {
		panic(err)
	}
	if r.ContentLength >= 0 {
		w.Header().Set("Content-Length", fmt.Sprint(r.ContentLength))
	}
	if _, err := io.Copy(w, r.Body); err != nil {
		panic(nethttp.ErrAbortHandler)
	}
}

// Bodies of any length go through net/http and come back, with each byte, from a server
// that answers while it reads: more than both sides may have in their buffers.
func TestUploads(t *testing.T) {
	ca := newAuthority(t)
	plain := serveHTTP(t, nil, back)
	sealed := serveHTTP(t, ca.config(t, "127.0.0.1"), back)
	for _, test := range []struct {
		name   string
		change func(*Plan)
	}{
		{"small", func(p *Plan) { p.Body.Size = 100 }},
		{"pipelined", func(p *Plan) { p.Body.Size, p.Pipeline = 100_000, 4 }},
		{"one piece", func(p *Plan) { p.Body.Size = pieceSize - 100 }},
		{"in chunks", func(p *Plan) { p.Body.Size, p.Chunked = 1<<20, true }},
		{"at a rate", func(p *Plan) { p.Body.Size, p.Rate = 200_000, 200 }},
		{"a connection each", func(p *Plan) { p.Body.Size, p.Churn, p.Close = 1<<20, true, true }},
		{"churn", func(p *Plan) { p.Body.Size, p.Churn = 1<<20, true }},
		{"held", func(p *Plan) { p.Idle, p.Conns, p.Requests, p.Duration, p.Body.Size = 4, 0, 0, 1, 1<<20 }},
		{"beyond all buffers", func(p *Plan) { p.Conns, p.Requests, p.Body.Size = 2, 4, 32<<20 }},
	} {
		for _, address := range []string{plain, sealed} {
			t.Run(fmt.Sprintf("%s, TLS %v", test.name, address == sealed), func(t *testing.T) {
				p := httpPlan(address)
				p.Requests, p.Body, p.Expect = 24, new(Content), &Content{Sent: true}
				if address == sealed {
					p.TLS = &TLS{CA: ca.file}
				}
				test.change(p)
				if err := p.Check(); err != nil {
					t.Fatal(err)
				}
				r, err := Run(t.Context(), p, nil, nil)
				if err != nil || !r.OK || r.Requests != p.Requests || r.BytesSent < p.Requests*int64(p.Body.Size) {
					t.Errorf("%+v, %v", r, err)
				}
			})
		}
	}
}

// The echo of bytes is one of those that answer while they read.
func TestLongEcho(t *testing.T) {
	p := plan()
	p.Address, p.Size, p.Conns, p.Requests = serveConns(t, echoAll), maxEcho, 1, 2
	r, err := Run(t.Context(), &p, nil, nil)
	if err != nil || !r.OK {
		t.Errorf("%+v, %v", r, err)
	}
}

// A server that answers before it has read all of a body, and ends the connection, has
// answered.
func TestEarlyAnswers(t *testing.T) {
	var asked atomic.Int64
	p := httpPlan(serveHTTP(t, nil, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		asked.Add(1)
		nethttp.Error(w, "too much", nethttp.StatusRequestEntityTooLarge)
	}))
	p.Conns, p.Requests, p.Body, p.Status = 2, 10, &Content{Size: 8 << 20}, 413
	r, err := Run(t.Context(), p, nil, nil)
	// Its close may overtake the answer: what it has not read makes it a reset.
	failed := r.Errors[KindUnanswered] + r.Errors[KindCut]
	if err != nil || r.Requests+failed != 10 || asked.Load() != 10 || r.HTTP.Statuses["413"] != r.Requests {
		t.Errorf("%+v, %+v, %v", r, r.HTTP, err)
	}
}
