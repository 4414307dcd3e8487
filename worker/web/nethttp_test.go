package web

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"
)

// scripted is a connection of a client that sends its fragments, then FIN, and reads all
// that is answered: what net/http's server makes of bytes, without sockets.
type scripted struct {
	mu        sync.Mutex
	fragments [][]byte
	written   bytes.Buffer
	ended     chan struct{}
	once      sync.Once
	closed    func()
}

func (c *scripted) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.fragments) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.fragments[0])
	if c.fragments[0] = c.fragments[0][n:]; len(c.fragments[0]) == 0 {
		c.fragments = c.fragments[1:]
	}
	return n, nil
}

func (c *scripted) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.written.Write(p)
}

func (c *scripted) end() error                       { c.once.Do(func() { close(c.ended) }); return nil }
func (c *scripted) Close() error                     { c.closed(); return c.end() }
func (c *scripted) CloseWrite() error                { return c.end() } // net/http sleeps for 500 ms between the two
func (*scripted) LocalAddr() net.Addr                { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }
func (*scripted) RemoteAddr() net.Addr               { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1234} }
func (*scripted) SetDeadline(t time.Time) error      { return nil }
func (*scripted) SetReadDeadline(t time.Time) error  { return nil }
func (*scripted) SetWriteDeadline(t time.Time) error { return nil }

// scriptedListener gives connections to a server.
type scriptedListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *scriptedListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *scriptedListener) Close() error   { return nil }
func (l *scriptedListener) Addr() net.Addr { return (*scripted)(nil).LocalAddr() }

// netHTTP serves one connection by net/http's server after the other.
type netHTTP struct {
	l      *scriptedListener
	served *sync.WaitGroup // connections, each until half a second behind its end
}

func newNetHTTP(t testing.TB, h http.Handler) *netHTTP {
	l := &scriptedListener{conns: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.Serve(l)
	}()
	served := new(sync.WaitGroup)
	t.Cleanup(func() { close(l.done); <-ended; served.Wait() })
	return &netHTTP{l, served}
}

// answer returns all that is answered to the fragments before the connection ends.
func (s *netHTTP) answer(fragments ...[]byte) string {
	s.served.Add(1)
	c := &scripted{ended: make(chan struct{}), closed: sync.OnceFunc(s.served.Done)}
	for _, f := range fragments {
		if len(f) > 0 {
			c.fragments = append(c.fragments, f)
		}
	}
	s.l.conns <- c
	<-c.ended
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.written.String()
}

// described is a handler that answered with what it has seen of the request, in an order
// of its own, so that two servers' answered can be compared.
func described(w http.ResponseWriter, r *http.Request) {
	if r.RequestURI == "*" && r.Method == http.MethodOptions {
		return // net/http's server answered by itself
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q %q %s host %q length %d %q close %v\n", r.Method, r.RequestURI, r.URL, r.Proto, r.Host, r.ContentLength, r.TransferEncoding, r.Close)
	describe(&b, r.Header)
	limit := int64(1 << 30)
	if r.URL.Path == "/unread" {
		limit = 0
	} else if r.URL.Path == "/half" {
		limit = 3
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit))
	fmt.Fprintf(&b, "%q %v\n", body, err)
	describe(&b, r.Trailer)
	io.WriteString(w, b.String())
}

func describe(b *strings.Builder, h http.Header) {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Fprintf(b, "%q: %q\n", name, h[name])
	}
}

// answered are what a client reads of a connection, but for what differs each time.
type answered struct {
	statuses string
	texts    []string // of each: proto, what matters of its head, and the body
}

// parseAnswers reads all that a server has answered to methods.
func parseAnswers(all string) (a answered) {
	r := bufio.NewReader(strings.NewReader(all))
	var statuses []string
	for {
		if _, err := r.Peek(1); err != nil {
			break
		}
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			a.texts = append(a.texts, fmt.Sprintf("unreadable: %v", err))
			break
		}
		body, err := io.ReadAll(response.Body)
		response.Header.Del("Date")
		response.Header.Del("Content-Length") // a short answer has one, a long one has chunks
		var b strings.Builder
		describe(&b, response.Header)
		a.texts = append(a.texts, fmt.Sprintf("%s %s close %v\n%s%s %v", response.Proto, response.Status, response.Close, &b, body, err))
		statuses = append(statuses, fmt.Sprint(response.StatusCode))
	}
	a.statuses = strings.Join(statuses, " ")
	return a
}

// byParser answered as a server that has no more than the parser and bodies. It is what is
// compared where no connection is needed.
func byParser(h http.HandlerFunc, fragments ...[]byte) string {
	var p parser
	var out bytes.Buffer
	var in []byte
	from, before := 0, nothing
	for {
		skip, end, err := p.next(in, from, before)
		if err != nil {
			return string(err.(*refusal).append(out.Bytes()))
		}
		if end == 0 {
			from = len(in)
			if len(fragments) == 0 {
				if err := p.atEOF(in, before); err != nil {
					out.Write(err.(*refusal).append(nil))
				}
				return out.String()
			}
			in, fragments = append(in, fragments[0]...), fragments[1:]
			continue
		}
		r, b, err := p.read(context.Background(), in[skip:end])
		if err != nil {
			return string(err.(*refusal).append(out.Bytes()))
		}
		in, from, before = in[end:], 0, after(r)
		for _, f := range fragments {
			in = append(in, f...)
		}
		fragments = nil
		if b != nil {
			b.proceed = func() error { out.WriteString("HTTP/1.1 100 Continue\r\n\r\n"); return nil }
			done := make(chan struct{})
			again := make(chan struct{}, 1)
			b.feed.resume = func() {
				select {
				case again <- struct{}{}:
				default:
				}
			}
			go func() { // is the loop
				defer close(done)
				for {
					n := b.feed.put(in)
					in = in[n:]
					b.feed.mu.Lock()
					short := b.feed.short
					b.feed.mu.Unlock()
					if !short {
						b.feed.end(io.EOF)
						return
					}
					<-again
				}
			}()
			keep := serveOne(h, r, b, &out)
			var rest []byte
			rest, keep = b.finish(keep)
			b.feed.resume()
			<-done
			in = append(rest, in...)
			if !keep {
				return out.String()
			}
			continue
		}
		if !serveOne(h, r, nil, &out) {
			return out.String()
		}
	}
}

// serveOne answered a request by way of a recorder, and tells whether another may follow.
func serveOne(h http.HandlerFunc, r *http.Request, b *body, out *bytes.Buffer) (keep bool) {
	w := httptest.NewRecorder()
	h(w, r)
	keep = !r.Close && !b.unasked()
	if keep {
		keep = b.settle() == bodyRead
	}
	response := w.Result()
	if _, named := response.Header["Content-Type"]; !named && w.Body.Len() > 0 {
		response.Header.Set("Content-Type", http.DetectContentType(w.Body.Bytes()))
	}
	version := "HTTP/1.1"
	if !r.ProtoAtLeast(1, 1) {
		version = "HTTP/1.0"
	}
	fmt.Fprintf(out, "%s %s\r\n", version, response.Status)
	response.Header.Write(out)
	switch {
	case !keep && r.ProtoAtLeast(1, 1):
		out.WriteString("Connection: close\r\n")
	case keep && !r.ProtoAtLeast(1, 1):
		out.WriteString("Connection: keep-alive\r\n")
	}
	fmt.Fprintf(out, "Content-Length: %d\r\n\r\n", w.Body.Len())
	if r.Method != http.MethodHead {
		out.Write(w.Body.Bytes())
	}
	return keep
}
