// Package webconform lets tests that others wrote for net/http's server judge package web:
// whatever an http.Server is to serve, a worker of this process serves. It is for its own
// tests alone, which tell how.
package webconform

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/web"
	"github.com/usher-go/usher/worker/workertest"
)

// Server serves in the place of an http.Server, on the connections of one listener.
type Server struct {
	listener *listener
	worker   *workertest.Server
	running  running
	ending   sync.Once
}

// grace is how long what is left has when no handler runs and the server is to end.
const grace = 100 * time.Millisecond

// Serve starts a worker that serves as srv says on the connections of l, of which it takes
// ownership. original is l as the program has it, for BaseContext. nil: it is left to
// net/http, since it may speak HTTP/2. What package web has no counterpart of is a panic.
func Serve(srv *http.Server, original, l net.Listener, base context.Context) *Server {
	plain, config := underTLS(original)
	switch {
	case speaksHTTP2(srv, config):
		return nil
	case srv.ConnState != nil || srv.ConnContext != nil:
		panic("web has no ConnState and no ConnContext")
	}
	s := &Server{listener: newListener(plain, l)}
	h := counted{web.Handler(s.handler(srv), options(srv, base)...)}
	if config == nil {
		s.worker = workertest.Serve(reporter{}, s.listener, h)
	} else {
		s.worker = workertest.ServeTLS(reporter{}, s.listener, h, workertest.TLS{Certificates: config.Certificates}, worker.WithALPN(config.NextProtos...))
	}
	return s
}

// underTLS returns what a listener of crypto/tls accepts from, and its configuration; nil:
// l is of another kind.
func underTLS(l net.Listener) (net.Listener, *tls.Config) {
	v := reflect.ValueOf(l)
	if !v.IsValid() || v.Type().String() != "*tls.listener" {
		return l, nil
	}
	v = v.Elem()
	return v.FieldByName("Listener").Interface().(net.Listener), (*tls.Config)(v.FieldByName("config").UnsafePointer())
}

// speaksHTTP2 reports whether clients may choose HTTP/2.
func speaksHTTP2(srv *http.Server, config *tls.Config) bool {
	if config == nil {
		return srv.Protocols != nil && srv.Protocols.UnencryptedHTTP2()
	}
	return slices.Contains(config.NextProtos, "h2")
}

// options are those that mean what srv does.
func options(srv *http.Server, base context.Context) []web.Option {
	opts := []web.Option{
		web.ReadTimeout(srv.ReadTimeout), web.ReadHeaderTimeout(srv.ReadHeaderTimeout), web.WriteTimeout(srv.WriteTimeout),
		web.IdleTimeout(srv.IdleTimeout), web.MaxHeaderBytes(srv.MaxHeaderBytes), web.ErrorLog(srv.ErrorLog), web.BaseContext(base),
	}
	if srv.DisableGeneralOptionsHandler {
		opts = append(opts, web.DisableGeneralOptionsHandler())
	}
	return opts
}

// webPath is the package whose ResponseWriters count.
var webPath = reflect.TypeFor[web.InlineHandler]().PkgPath()

// handler is srv's, which may be replaced while it serves, and tells of each request that
// package web has read.
func (s *Server) handler(srv *http.Server) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if t := reflect.TypeOf(w); t.Kind() == reflect.Pointer && t.Elem().PkgPath() == webPath {
			tell(requestServed)
		}
		s.running.add(1)
		defer s.running.add(-1)
		h := srv.Handler
		if h == nil {
			h = http.DefaultServeMux
		}
		h.ServeHTTP(w, r)
	})
}

// counted tells of each connection that a worker opens.
type counted struct{ worker.Handler }

func (c counted) Open(conn *worker.Conn) (worker.Session, error) {
	if _, byTLS := conn.TLS(); byTLS {
		tell(connectionByTLS)
	} else {
		tell(connectionOpened)
	}
	return c.Handler.Open(conn)
}

// What a test is told to have had served, as lines of its output.
const (
	requestServed    = "webconform: a request"
	connectionOpened = "webconform: a connection"
	connectionByTLS  = "webconform: a connection by TLS"
)

func tell(what string) { fmt.Fprintf(os.Stdout, "\n%s\n", what) } // in one write

// Accept waits until nothing is accepted any more, and returns why. Connections that are
// no sockets are served to their end, and then the worker ends; others, until Shutdown or
// Close.
func (s *Server) Accept() error {
	err := <-s.listener.ended
	if s.listener.sockets == 0 {
		go func() {
			s.listener.pipes.Wait()
			s.Close()
		}()
	}
	return err
}

// Shutdown has the worker end when no handler runs any more. It returns an error if ctx is
// done before.
func (s *Server) Shutdown(ctx context.Context) error {
	if err := s.running.wait(ctx); err != nil {
		return err
	}
	s.ending.Do(func() {
		s.worker.Drain(grace)
		s.worker.Close()
	})
	return nil
}

// Close cuts all connections.
func (s *Server) Close() { s.ending.Do(s.worker.Close) }

// reporter is the test of a worker that serves many. A worker that has failed ends them
// all.
type reporter struct{ testing.TB }

func (reporter) Helper()                           {}
func (reporter) Cleanup(func())                    {} // Shutdown and Close end a worker
func (reporter) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (reporter) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
