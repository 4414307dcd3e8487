package main

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/web"
)

func init() {
	helpers["worker-web-steps"] = func() {
		opts := []web.Option{web.ErrorLog(log.New(io.Discard, "", 0))}
		if len(os.Args) > 2 {
			opts = append(opts, web.Inline())
		}
		worker.Main(web.Handler(http.HandlerFunc(webSteps), opts...))
	}
}

// The steps of a handler, which its request names in its path: letters, each with a
// number, and dots between them. It is the same handler for net/http's server.
const (
	stepInform   = 'i' // a response before the response, with that status
	stepStatus   = 's' // WriteHeader
	stepLength   = 'l' // Content-Length is declared
	stepExact    = 'X' // likewise, as long as what is written
	stepNoLength = 'N' // likewise, of something that is no number
	stepClose    = 'k' // Connection: close
	stepType     = 't' // Content-Type, none, or that there is none
	stepTrailer  = 'T' // trailers, of which one is declared
	stepField    = 'x' // fields, of which one has a line break in it
	stepNoDate   = 'D'
	stepCoding   = 'E' // Transfer-Encoding
	stepRead     = 'r' // reads so many bytes
	stepReadAll  = 'R'
	stepShut     = 'C' // closes the body
	stepLimit    = 'm' // http.MaxBytesReader
	stepWrite    = 'w' // writes so many bytes
	stepText     = 'W' // likewise, as a string
	stepCopy     = 'c' // likewise, by ReadFrom
	stepFlush    = 'f'
	stepEcho     = 'e' // sends back the body as it comes, full duplex
	stepPause    = 'p' // until the worker begins to leave, or so many ms
	stepDescribe = 'v' // tells of the request
	stepAbort    = 'a' // panics
	stepHijack   = 'j' // takes the connection, sends back so many bytes, and ends it
)

// webStep is one of them.
type webStep struct {
	kind byte
	n    int
}

func webPath(steps []webStep) string {
	var b strings.Builder
	for i, s := range steps {
		b.WriteByte("/."[min(i, 1)])
		fmt.Fprintf(&b, "%c%d", s.kind, s.n)
	}
	return b.String()
}

func parseWebPath(path string) (steps []webStep) {
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), ".") {
		if len(part) < 2 {
			continue
		}
		if n, err := strconv.Atoi(part[1:]); err == nil {
			steps = append(steps, webStep{part[0], n})
		}
	}
	return steps
}

// webDoing is a request that is being served.
type webDoing struct {
	w     http.ResponseWriter
	r     *http.Request
	steps []webStep
	came  strings.Builder // what each step has come to, which is told in the end

	exact, taken bool // the length was declared, so that it is not; the connection was taken
	trailer      bool // one follows
	limited      bool // the body is
}

// webSteps is the handler.
func webSteps(w http.ResponseWriter, r *http.Request) {
	d := &webDoing{w: w, r: r, steps: parseWebPath(r.URL.Path)}
	for _, s := range d.steps {
		d.do(s)
	}
	if !d.exact && !d.taken {
		_, _ = io.WriteString(w, d.came.String()) // who has gone needs none
	}
	if d.trailer {
		w.Header().Set("X-Sum", "7")
		w.Header().Set(http.TrailerPrefix+"X-Late", "late")
	}
}

// say notes what something has come to.
func (d *webDoing) say(s webStep, format string, args ...any) {
	fmt.Fprintf(&d.came, "%c%d: ", s.kind, s.n)
	fmt.Fprintf(&d.came, format+"\n", args...)
}

func (d *webDoing) do(s webStep) {
	h := d.w.Header()
	switch s.kind {
	case stepInform:
		h.Set("Link", "</style.css>; rel=preload")
		d.w.WriteHeader(s.n)
	case stepStatus:
		d.w.WriteHeader(s.n)
	case stepLength:
		h.Set("Content-Length", strconv.Itoa(s.n))
	case stepExact:
		d.exact = true
		h.Set("Content-Length", strconv.Itoa(webWritten(d.steps)))
	case stepNoLength:
		h.Set("Content-Length", "many")
	case stepClose:
		h.Set("Connection", "close")
	case stepType:
		h["Content-Type"] = [][]string{nil, {"text/html"}, {}, {"x/y", "z/z"}}[s.n%4]
	case stepTrailer:
		h.Set("Trailer", "X-Sum")
		d.trailer = true
	case stepField:
		h["X-Several"] = []string{"one", " two ", "th\r\nree"}
		h[fmt.Sprint("X-", s.n)] = []string{fmt.Sprint(s.n)}
	case stepNoDate:
		h["Date"] = nil
	case stepCoding:
		h.Set("Transfer-Encoding", []string{"chunked", "identity", "gzip"}[s.n%3])
	case stepDescribe:
		d.describe(s)
	case stepFlush:
		d.say(s, "%v", http.NewResponseController(d.w).Flush())
	case stepPause:
		select {
		case <-web.Draining(d.r.Context()):
		case <-time.After(time.Duration(s.n) * time.Millisecond):
		}
	case stepAbort:
		panic(http.ErrAbortHandler)
	case stepHijack:
		d.hijack(s)
	case stepWrite, stepText, stepCopy:
		d.write(s)
	default:
		d.read(s)
	}
}

// webWritten is how many bytes the steps write.
func webWritten(steps []webStep) (n int) {
	for _, s := range steps {
		if strings.IndexByte("wWc", s.kind) >= 0 {
			n += s.n
		}
	}
	return n
}

// write writes bytes that the number stands for.
func (d *webDoing) write(s webStep) {
	text := pseudo(uint64(s.n), s.n)
	if s.n%3 == 0 && s.n > 6 { // which is what is sniffed
		copy(text, "<html>")
	}
	words := string(text)
	var n int64
	var err error
	switch s.kind {
	case stepWrite:
		var written int
		written, err = d.w.Write(text)
		n = int64(written)
	case stepText:
		var written int
		written, err = io.WriteString(d.w, words)
		n = int64(written)
	default:
		n, err = io.Copy(d.w, io.LimitReader(strings.NewReader(words), int64(s.n)))
	}
	d.say(s, "%d %v", n, err)
}

// read does something with the body.
func (d *webDoing) read(s webStep) {
	switch s.kind {
	case stepRead, stepReadAll:
		from := io.Reader(d.r.Body)
		if s.kind == stepRead {
			from = io.LimitReader(from, int64(s.n))
		}
		sum := fnv.New64a()
		n, err := io.Copy(sum, from)
		trailer := "" // as far as it has been read, in which the server may be ahead
		if s.kind == stepReadAll && err == nil {
			trailer = webFields(d.r.Trailer)
		}
		d.say(s, "%d bytes of %x, %v; trailer %s", n, sum.Sum(nil), err, trailer)
	case stepShut:
		d.say(s, "%v", d.r.Body.Close())
	case stepLimit:
		if !d.limited { // docs/web.md: of a limit within another nothing is known
			d.limited, d.r.Body = true, http.MaxBytesReader(d.w, d.r.Body, int64(s.n))
		}
	case stepEcho:
		control := http.NewResponseController(d.w)
		err := errors.Join(control.EnableFullDuplex(), control.Flush())
		for b := make([]byte, 4096); err == nil; {
			var n int
			n, err = d.r.Body.Read(b)
			_, writeErr := d.w.Write(b[:n])
			err = errors.Join(err, writeErr, control.Flush())
		}
		d.say(s, "%v", err)
	}
}

// describe tells of the request.
func (d *webDoing) describe(s webStep) {
	r := d.r
	d.say(s, "%s %q %q %s host %q length %d %q close %v %s", r.Method, r.RequestURI, r.URL, r.Proto, r.Host, r.ContentLength, r.TransferEncoding, r.Close, webFields(r.Header))
}

func webFields(h http.Header) string {
	var lines []string
	for name, values := range h {
		lines = append(lines, fmt.Sprintf("%q=%q", name, values))
	}
	sort.Strings(lines)
	return strings.Join(lines, " ")
}

// hijack takes the connection.
func (d *webDoing) hijack(s webStep) {
	conn, rw, err := http.NewResponseController(d.w).Hijack()
	if err != nil {
		d.say(s, "%v", err)
		return
	}
	d.taken = true
	defer conn.Close()
	_, err = io.WriteString(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
	if err := errors.Join(err, rw.Flush()); err != nil {
		return // who has gone needs no more
	}
	_, _ = io.CopyN(rw, rw, int64(s.n)) // less, if less comes
	_ = rw.Flush()                      // likewise
}
