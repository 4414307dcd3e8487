package web

import (
	"context"
	"log"
	"net/http"
	"net/netip"
	"time"
)

// Option changes a default of Handler. The names and the meanings are those of
// [http.Server]'s fields, where it has them.
type Option func(*settings)

// settings are what the options say. They do not change once Handler has returned.
type settings struct {
	handler           http.Handler
	inlineHandler     InlineHandler // handler, if it is one
	inline            bool
	maxRunning        int
	maxHeaderBytes    int
	readTimeout       time.Duration
	readHeaderTimeout time.Duration
	writeTimeout      time.Duration
	idleTimeout       time.Duration // 0: the worker's own; less: none
	idleLater         bool          // it does not bound the wait for a connection's first request
	errorLog          *log.Logger
	baseContext       context.Context
	noGeneralOptions  bool
	trusted           []netip.Prefix
	forwarded         bool         // they are believed by Forwarded
	facade            *http.Server // what http.ServerContextKey leads to; it serves nothing
}

// DefaultMaxRunning is how many requests a worker serves at a time on goroutines, unless
// MaxRunning says otherwise.
const DefaultMaxRunning = 10_000

func newSettings(h http.Handler, opts []Option) settings {
	s := settings{handler: h, maxRunning: DefaultMaxRunning, maxHeaderBytes: http.DefaultMaxHeaderBytes, baseContext: context.Background()}
	if h == nil {
		s.handler = http.DefaultServeMux
	}
	for _, opt := range opts {
		opt(&s)
	}
	switch {
	case s.readHeaderTimeout == 0:
		s.readHeaderTimeout = s.readTimeout
	case s.readHeaderTimeout < 0:
		s.readHeaderTimeout, s.idleLater = 0, true
	}
	if s.idleTimeout == 0 {
		s.idleTimeout = s.readTimeout
	}
	s.inlineHandler, _ = s.handler.(InlineHandler)
	s.facade = &http.Server{
		Handler: s.handler, MaxHeaderBytes: s.maxHeaderBytes, ErrorLog: s.errorLog,
		ReadTimeout: s.readTimeout, ReadHeaderTimeout: s.readHeaderTimeout,
		WriteTimeout: s.writeTimeout, IdleTimeout: s.idleTimeout,
		DisableGeneralOptionsHandler: s.noGeneralOptions,
	}
	return s
}

// MaxRunning bounds how many requests a worker serves at a time on goroutines; 0 is the
// default, DefaultMaxRunning. Hijacked connections do not count, nor do responses that
// the handler has flushed, which are streams. Beyond it 1,000 requests wait for their turn,
// in order; one more is answered with 503 and a Retry-After.
func MaxRunning(n int) Option {
	return func(s *settings) {
		if s.maxRunning = n; n <= 0 {
			s.maxRunning = DefaultMaxRunning
		}
	}
}

// Inline has the handler run on the loop, which saves the goroutine and the way there and
// back. It is for handlers that never block: no database, no file, no other server, no
// lock that is held for long. All connections of the worker wait meanwhile.
//
// A body that is not longer than 64 KiB is here whole when the handler is called. A
// request with a longer one, or one that wants 100-continue, is served on a goroutine, as
// without this option. What the handler writes does not block: beyond what the worker
// allows (worker.WithMaxOutput) it fails with worker.ErrFull. It cannot hijack.
func Inline() Option { return func(s *settings) { s.inline = true } }

// MaxHeaderBytes bounds the head of a request, in bytes; 0 is the default,
// [http.DefaultMaxHeaderBytes]. As with net/http there are 4,096 bytes more before 431
// is answered.
func MaxHeaderBytes(n int) Option {
	return func(s *settings) {
		if s.maxHeaderBytes = n; n <= 0 {
			s.maxHeaderBytes = http.DefaultMaxHeaderBytes
		}
	}
}

// ReadTimeout bounds how long a whole request takes to come, its body included, from its
// first byte on (for a connection's first request: from its opening). 0, the default, is
// no bound.
func ReadTimeout(d time.Duration) Option { return func(s *settings) { s.readTimeout = max(d, 0) } }

// ReadHeaderTimeout bounds how long the head of a request takes to come; 0, the default,
// is ReadTimeout, and less is no bound: then IdleTimeout does not bound the wait for a
// connection's first request either, but the worker's own does.
func ReadHeaderTimeout(d time.Duration) Option {
	return func(s *settings) { s.readHeaderTimeout = d }
}

// WriteTimeout bounds the time from a request's head to the last byte of its answer. 0, the
// default, is no bound.
func WriteTimeout(d time.Duration) Option { return func(s *settings) { s.writeTimeout = max(d, 0) } }

// IdleTimeout bounds how long a connection waits for its next request; 0, the default, is
// ReadTimeout, and if that is 0 too the worker's own (usher serve --idle-timeout); less is
// no bound.
func IdleTimeout(d time.Duration) Option { return func(s *settings) { s.idleTimeout = d } }

// ErrorLog sets where panics of handlers and wrong use of a ResponseWriter are logged; nil,
// the default, is the log package's standard logger.
func ErrorLog(l *log.Logger) Option { return func(s *settings) { s.errorLog = l } }

// BaseContext sets the context that those of all requests come from; the default is the
// background.
func BaseContext(ctx context.Context) Option { return func(s *settings) { s.baseContext = ctx } }

// DisableGeneralOptionsHandler passes "OPTIONS *" to the handler. Else it is answered with
// 200 and no body.
func DisableGeneralOptionsHandler() Option { return func(s *settings) { s.noGeneralOptions = true } }

// TrustedProxies says at which addresses proxies stand whose X-Forwarded-For is believed:
// r.RemoteAddr is then the last address in it that is no trusted proxy's, with the port 0
// unless the proxy has named one. Who connects by a Unix socket is trusted too, once any
// prefix is given. From all others the fields Forwarded, X-Forwarded-For, -Host, -Proto
// and -Port are taken out of the request, so that those which a handler finds have passed
// a trusted proxy; nothing else of a request changes by them. The default is none: the
// fields are as the client has sent them, and mean nothing.
func TrustedProxies(prefixes ...netip.Prefix) Option {
	return func(s *settings) { s.trusted = prefixes }
}

// TrustForwarded has trusted proxies be believed by the field Forwarded (RFC 7239), and
// not by X-Forwarded-For.
func TrustForwarded() Option { return func(s *settings) { s.forwarded = true } }

// logf writes to the error log. It is for any goroutine.
func (s *settings) logf(format string, a ...any) {
	if s.errorLog != nil {
		s.errorLog.Printf(format, a...)
		return
	}
	log.Printf(format, a...)
}
