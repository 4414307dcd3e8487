// Package httpworker serves net/http in a worker, and loses no request when the
// worker leaves.
//
// It is for who needs the http.Server itself, as for HTTP/2: its connections end with
// their worker. Package web, which is the one to begin with, serves an http.Handler whose
// connections go on in the next worker.
//
// http.Server.Shutdown closes idle connections on which a request may just be
// coming, and leaves requests unanswered that it is just reading. So Serve waits before
// it calls Shutdown: meanwhile every answer tells the client that it is the last on
// that connection.
//
//	worker.Main(worker.Streams(func(l net.Listener) error {
//		return httpworker.Serve(l, &http.Server{Handler: mux}, 2*time.Second)
//	}))
//
// Behind a listener with TLS it is the same, by HTTP/1.1 and, if the worker offers "h2"
// (worker.WithALPN), HTTP/2: there GOAWAY tells the client. The server's TLSConfig stays nil,
// since the connections have shaken hands when the server gets them.
//
// This package knows nothing of the master, and of the worker only its listener.
package httpworker

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Serve serves l until that is closed, as the listener of worker.Streams is when
// the worker drains. From then on every answer carries Connection: close; after
// farewell, or when no connection is left, the server shuts down. Serve blocks, and
// returns nil once all requests are answered, or the error of the server's Serve or
// Shutdown.
//
// A connection that its client keeps without using it is closed after farewell; 0 is at
// once. Serve wraps the server's Handler and ConnState, and takes the server over: it
// must not be used for another listener.
func Serve(l net.Listener, server *http.Server, farewell time.Duration) error {
	var f farewells
	f.wrap(server)
	if err := server.Serve(l); !errors.Is(err, net.ErrClosed) {
		return err
	}
	f.leaving.Store(true)
	none := make(chan struct{})
	go func() {
		f.open.Wait()
		close(none)
	}()
	select {
	case <-none:
	case <-time.After(farewell):
	}
	return server.Shutdown(context.Background())
}

// farewells makes each answer of a server that is to end say that it is the last of its
// connection. The server's goroutines call what wrap adds.
type farewells struct {
	leaving atomic.Bool    // every answer is the last of its connection
	open    sync.WaitGroup // connections
}

// wrap puts the farewells around the server's own handler, and counts its connections.
func (f *farewells) wrap(server *http.Server) {
	handler, state := server.Handler, server.ConnState
	if handler == nil {
		handler = http.DefaultServeMux
	}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.leaving.Load() {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
	server.ConnState = func(c net.Conn, now http.ConnState) {
		if now == http.StateNew { // called before Serve accepts again, so never while Wait is called
			f.open.Add(1)
		}
		if state != nil {
			state(c, now)
		}
		if now == http.StateClosed || now == http.StateHijacked {
			f.open.Done()
		}
	}
}
