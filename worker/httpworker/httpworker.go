// Package httpworker serves net/http in a worker, and loses no request when the
// worker leaves.
//
// http.Server.Shutdown closes idle connections on which a request may just be
// coming, and leaves unanswered those that it is just reading. So before it, each
// connection gets one more answer, which says that it is the last.
//
//	worker.Main(worker.Streams(func(l net.Listener) error {
//		return httpworker.Serve(l, &http.Server{Handler: mux}, 2*time.Second)
//	}))
//
// It knows nothing of the master, and of the worker only its listener.
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

// Serve serves l until it is closed, as the listener of worker.Streams is when
// the worker drains. From then on every answer carries Connection: close; after
// farewell, or when no connection is left, the server shuts down. It blocks, and
// returns nil once all requests are answered, or what Serve or Shutdown says.
//
// A client that keeps a connection without using it is closed after farewell: 0
// is at once. Serve wraps server's Handler and ConnState, and takes the server
// over; it is not to be used for another listener.
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

// farewells knows whether to say them, and to how many.
type farewells struct {
	leaving atomic.Bool
	open    sync.WaitGroup
}

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
