// Package webconform lets tests that others wrote for net/http's server judge package web.
// It is for its own tests alone, which tell how.
package webconform

import (
	"fmt"
	"net"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/usher-go/usher/worker/web"
)

// Server serves in the place of an http.Server.
type Server struct {
	bridges  bridges
	count    atomic.Int64 // requests since it was told last
	running  atomic.Int64 // of them
	leaveOne sync.Once
}

// webPath is the package whose ResponseWriters count.
var webPath = reflect.TypeFor[web.InlineHandler]().PkgPath()

// Serve serves as config says on the connections of l, of which it takes ownership, and
// counts the requests that package web has read. A config that package web cannot have is
// a panic.
func Serve(config *http.Server, l net.Listener) *Server {
	if config.ConnState != nil || config.ConnContext != nil {
		panic("web has no ConnState and no ConnContext")
	}
	handler := config.Handler
	if handler == nil {
		handler = http.DefaultServeMux
	}
	s := &Server{bridges: bridges{listener: l, conns: make(map[net.Conn]bool)}}
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if t := reflect.TypeOf(w); t.Kind() == reflect.Pointer && t.Elem().PkgPath() == webPath {
			s.count.Add(1)
		}
		s.running.Add(1)
		defer s.running.Add(-1)
		handler.ServeHTTP(w, r)
	})
	s.bridges.loop = startLoop(web.Handler(counted, options(config, l)...), &s.running)
	go s.bridges.accept()
	return s
}

// options are those that mean what config does.
func options(config *http.Server, l net.Listener) []web.Option {
	opts := []web.Option{
		web.ReadTimeout(config.ReadTimeout), web.ReadHeaderTimeout(config.ReadHeaderTimeout), web.WriteTimeout(config.WriteTimeout),
		web.IdleTimeout(config.IdleTimeout), web.MaxHeaderBytes(config.MaxHeaderBytes), web.ErrorLog(config.ErrorLog),
	}
	if config.BaseContext != nil {
		opts = append(opts, web.BaseContext(config.BaseContext(l)))
	}
	if config.DisableGeneralOptionsHandler {
		opts = append(opts, web.DisableGeneralOptionsHandler())
	}
	return opts
}

// Close returns when all requests are answered, and says how many came since it was called last.
func (s *Server) Close() {
	s.leaveOne.Do(func() {
		_ = s.bridges.listener.Close() // nobody comes any more
		close(s.bridges.loop.leave)
	})
	<-s.bridges.loop.ended
	fmt.Printf("\nserved: %d requests on %d connections\n", s.count.Swap(0), s.bridges.count.Swap(0))
}

// CloseClientConnections cuts all connections.
func (s *Server) CloseClientConnections() { s.bridges.cut() }
