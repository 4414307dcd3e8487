// Package web serves an [http.Handler] in a worker, by HTTP/1.1 and 1.0, and keeps both
// requests and connections through every deploy.
//
//	func main() {
//		mux := http.NewServeMux()
//		mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
//			io.WriteString(w, "Hello, world!\n")
//		})
//		worker.Main(web.Handler(mux))
//	}
//
// started by
//
//	usher serve --listen :8080 -- ./hello
//
// It is for programs of net/http that have an http.Handler. A test serves one by
// workertest.Serve, as this package's example does. For HTTP/2 there is package httpworker.
//
// A handler that net/http's Server serves is served here as it is: streamed bodies both
// ways, [http.Flusher], [http.Hijacker], [http.ResponseController], trailers, 100-continue,
// Upgrade, pipelining, and a [http.Request.Context] that ends with its client. The head of
// a request is read by net/http itself.
//
// # What differs
//
// Between requests a connection is a session of the worker's loop. It has no goroutine and
// no buffer, and moves to the next worker when this one leaves, with what has come of the
// next request. While a request is served its handler runs on a goroutine of its own, of
// which there are at most [MaxRunning]; the connection moves once the answer is out.
// So nobody is told "Connection: close" because of a deploy, unless there is no worker to
// move to.
//
// When ServeHTTP has returned, its ResponseWriter, its Request's Body and its
// ResponseController are dead: they fail with [ErrFinished] or [http.ErrBodyReadAfterClose],
// and touch nothing, whatever has become of the connection.
//
// A handler that never blocks may run on the loop itself, with [Inline]: that saves about a
// third of what a small answer costs (docs/performance.md).
//
// A handler can see coming that its worker leaves ([Draining], [DrainDeadline]). When the
// deadline is there its context is cancelled, with worker.ErrDrained as the cause; what it
// has written a second later is all that the client gets.
//
// r.TLS is rebuilt from what the worker keeps of a handshake; its ExportKeyingMaterial
// fails. HTTP/2 is not served here.
package web

import (
	"bytes"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/usher-go/usher/internal/forweb"
	"github.com/usher-go/usher/worker"
)

// Handler returns a worker's handler that serves h; nil is [http.DefaultServeMux]. It is
// for one worker. An h that is also an [InlineHandler] is asked first on the loop.
//
// A worker's WithMaxOutput, 16 MiB by default, is to be 512 KiB at least: what handlers on
// goroutines write comes to the loop in batches, for which there must be room above the
// 256 KiB at which they begin to wait. With less, a long answer to a client that reads
// slowly is cut short, with worker.ErrFull.
func Handler(h http.Handler, opts ...Option) worker.Handler {
	s := &server{settings: newSettings(h, opts)}
	s.parser = parser{maxHeaderBytes: s.maxHeaderBytes, trusted: s.trusted, forwarded: s.forwarded}
	s.floor = heapFloor()
	for before := range s.idle {
		s.idle[before] = idle{server: s, before: previous(before)}
	}
	return s
}

// server is what the connections of one Handler share.
type server struct {
	settings
	parser  parser
	floor   []byte // heapFloor, as long as this is in use
	running running
	runners runners
	idle    [aPost + 1]idle // the sessions of all connections between requests
}

// Open returns the session of a connection that comes, or that comes from another worker.
func (s *server) Open(c *worker.Conn) (worker.Session, error) {
	if !s.idleLater || c.Moved() {
		s.boundIdle(c)
	}
	if c.Moved() {
		return &thawed{server: s, conn: c}, nil
	}
	if s.readHeaderTimeout > 0 || s.readTimeout > 0 {
		h := &heading{server: s, before: nothing, opened: time.Now()}
		if s.readHeaderTimeout > 0 {
			h.bound(c, s.readHeaderTimeout)
		}
		return h, nil
	}
	return &s.idle[nothing], nil
}

// boundIdle bounds how long c waits for its next request.
func (s *server) boundIdle(c *worker.Conn) {
	if s.idleTimeout != 0 {
		c.SetIdleTimeout(max(s.idleTimeout, 0))
	}
}

// handlerFor returns the handler of r.
func (s *settings) handlerFor(r *http.Request) http.Handler {
	if r.Method == http.MethodOptions && r.RequestURI == "*" && !s.noGeneralOptions {
		return http.HandlerFunc(generalOptions)
	}
	return s.handler
}

// generalOptions answers "OPTIONS *", as net/http does.
func generalOptions(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "0")
	if r.ContentLength != 0 {
		// As much as a client may send with it; more closes the connection.
		r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
		_, _ = io.Copy(io.Discard, r.Body) // the response says what came of it
	}
}

// answered counts a request that was answered, and logs it if there is an access log. It is
// for any goroutine.
func (s *server) answered(c *worker.Conn, r *http.Request, w *response, began time.Time) {
	took := time.Since(began)
	forweb.Of(c).Answered(w.status, took)
	log := c.AccessLog()
	if !log.Enabled() {
		return
	}
	log.Log(accessOf(r, w, began, took))
}

// accessOf returns what the log says of a request that was answered.
func accessOf(r *http.Request, w *response, began time.Time, took time.Duration) *worker.Access {
	user, _, _ := r.BasicAuth()
	return &worker.Access{
		Time: began, Duration: took, Remote: remoteOf(r), User: user, Host: r.Host,
		Method: r.Method, URI: r.RequestURI, Proto: r.Proto, Referer: r.Referer(), UserAgent: r.UserAgent(),
		Status: w.status, Bytes: w.sent(),
	}
}

// logRefusal logs a request that is answered ahead of any handler, if there is an access
// log: by its first line, whose parts are what stands between the spaces.
func logRefusal(c *worker.Conn, r *refusal, in []byte) {
	log := c.AccessLog()
	if !log.Enabled() {
		return
	}
	line, _, _ := bytes.Cut(in[:min(len(in), maxLoggedLine)], newline)
	method, rest, _ := strings.Cut(string(bytes.TrimSuffix(line, []byte("\r"))), " ")
	uri, proto, _ := strings.Cut(rest, " ")
	log.Log(&worker.Access{
		Time: time.Now(), Remote: c.RemoteAddr().Addr(), Method: method, URI: uri, Proto: proto, Status: r.status, Bytes: r.bodyBytes(),
	})
}

// maxLoggedLine is how much of a request's first line is looked at for the log, in bytes: more
// than a line of that holds.
const maxLoggedLine = 8 << 10

// remoteOf returns the client's address.
func remoteOf(r *http.Request) netip.Addr {
	at, _ := netip.ParseAddrPort(r.RemoteAddr) // none of a Unix socket
	return at.Addr()
}
