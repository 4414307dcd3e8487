package web

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	get11  = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
	get10  = "GET / HTTP/1.0\r\n\r\n"
	keep10 = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
	head11 = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
	close1 = "GET / HTTP/1.1\r\nHost: h\r\nConnection: foo, Close\r\n\r\n"
)

func post(headers, body string) string {
	return "POST / HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n" + body
}

type (
	rw  = http.ResponseWriter
	req = *http.Request
)

// say returns a handler that sets the fields, given as name and value in turns, and writes
// the status, unless that is 0, and the body.
func say(status int, body string, fields ...string) func(rw, req) {
	return func(w rw, r req) {
		for i := 0; i < len(fields); i += 2 {
			w.Header().Add(fields[i], fields[i+1])
		}
		if status != 0 {
			w.WriteHeader(status)
		}
		if body != "" {
			_, _ = io.WriteString(w, body)
		}
	}
}

// times returns a handler that writes s n times. It writes bytes: of a long string net/http
// makes many chunks, and we make one.
func times(n int, s string) func(rw, req) {
	return func(w rw, r req) {
		for range n {
			_, _ = w.Write([]byte(s))
		}
	}
}

// report writes what a method has returned into the answer.
func report(w io.Writer, n int, err error) {
	_, _ = io.WriteString(w, " ("+time.Duration(n).String()+" "+errText(err)+")")
}

func errText(err error) string {
	if err == nil {
		return "nil"
	}
	return err.Error()
}

// answers are requests, and handlers that answer them; raw is get11 if it is empty.
var answers = []struct {
	name, raw string
	handler   func(rw, req)
}{
	{"nothing", "", say(0, "")},
	{"hello", "", say(0, "hello")},
	{"hello with fields", "", say(200, "hello", "Content-Type", "text/plain", "X-B", "2", "X-A", "1", "X-B", "3")},
	{"many fields", "", say(200, "x", "A", "1", "C", "1", "B", "1", "E", "1", "D", "1", "Z", "1", "X", "1", "Y", "1", "K", "1", "L", "1", "M", "1", "N", "1", "O", "1", "P", "1", "Q", "1", "R", "1", "S", "1", "T", "1")},
	{"raw names sort by byte", "", func(w rw, r req) {
		w.Header()["x-low"] = []string{"1"}
		w.Header()["X-High"] = []string{"2"}
		w.Header()["content-length"] = []string{"7"}
		w.Header()["bad name"] = []string{"3"}
		w.Header()[""] = []string{"3"}
	}},
	{"line ends in values", "", say(200, "x", "X-A", "a\r\nEvil: 1", "X-B", " \t padded\n ")},
	{"no values", "", func(w rw, r req) {
		w.Header()["Date"] = nil
		w.Header()["Content-Type"] = nil
		w.Header()["X-Empty"] = []string{}
		_, _ = io.WriteString(w, "<html>")
	}},
	{"own date", "", say(200, "x", "Date", "today")},
	{"header is kept, changed behind the status", "", func(w rw, r req) {
		w.Header().Set("X-A", "before")
		w.WriteHeader(201)
		w.Header().Set("X-A", "after")
		w.Header().Set("X-B", "after")
		w.Header().Del("Date")
		_, _ = io.WriteString(w, "x")
	}},
	{"header is asked for behind the status", "", func(w rw, r req) {
		w.WriteHeader(200)
		w.Header().Set("X-A", "late")
	}},
	{"unknown status", "", say(777, "x")},
	{"status of HTTP/1.0", get10, say(404, "x")},
	{"twice the status", "", func(w rw, r req) { w.WriteHeader(201); w.WriteHeader(500) }},
	{"a status behind the body", "", func(w rw, r req) { _, _ = io.WriteString(w, "x"); w.WriteHeader(500) }},
	{"a status of two digits", "", func(w rw, r req) { w.WriteHeader(99) }},
	{"a status of four digits", "", func(w rw, r req) { w.WriteHeader(1000) }},
	{"no status", "", func(w rw, r req) { w.WriteHeader(0) }},
	{"write of nothing", "", func(w rw, r req) { n, err := w.Write(nil); w.Header().Set("X-A", "late"); report(w, n, err) }},

	{"204", "", say(204, "")},
	{"204 with everything", "", say(204, "body", "Content-Length", "4", "Transfer-Encoding", "chunked", "Content-Type", "a/b", "Connection", "close")},
	{"304 with everything", "", say(304, "", "Content-Length", "4", "Etag", `"x"`, "Content-Type", "a/b", "Transfer-Encoding", "gzip")},
	{"304 by HTTP/1.0", keep10, say(304, "", "Etag", `"x"`)},
	{"write to 204", "", func(w rw, r req) {
		w.WriteHeader(204)
		if n, err := io.WriteString(w, "x"); n != 0 || err != http.ErrBodyNotAllowed {
			panic("204 took a body")
		}
	}},
	{"HEAD of nothing", head11, say(0, "")},
	{"HEAD", head11, say(200, "hello")},
	{"HEAD with a length", head11, say(200, "", "Content-Length", "1234")},
	{"HEAD, much", head11, times(3000, "x")},
	{"HEAD, coding", head11, say(200, "x", "Transfer-Encoding", "chunked")},
	{"HEAD, trailer", head11, say(200, "x", "Trailer", "X-T", "X-T", "1")},
	{"HEAD by HTTP/1.0", "HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", say(200, "x")},
	{"HEAD, flush", head11, func(w rw, r req) { w.(http.Flusher).Flush(); _, _ = io.WriteString(w, "x") }},

	{"100 and 103", "", func(w rw, r req) {
		w.WriteHeader(100)
		w.Header().Set("Link", "</a>")
		w.Header().Set("Content-Length", "2")
		w.Header().Set("Transfer-Encoding", "x")
		w.WriteHeader(103)
		w.Header().Del("Transfer-Encoding")
		w.WriteHeader(150)
		_, _ = io.WriteString(w, "ok")
	}},
	{"103 by HTTP/1.0", get10, func(w rw, r req) { w.WriteHeader(103) }},
	{"101", "", say(101, "", "Connection", "Upgrade", "Upgrade", "x")},
	{"101, close", close1, say(101, "", "Connection", "upgrade", "Upgrade", "x")},

	{"HTTP/1.0", get10, say(0, "hello")},
	{"HTTP/1.0, much", get10, times(300, "0123456789")},
	{"HTTP/1.0 keep-alive", keep10, say(0, "hello")},
	{"HTTP/1.0 keep-alive, nothing", keep10, say(0, "")},
	{"HTTP/1.0 keep-alive, length", keep10, say(200, "hello", "Content-Length", "5")},
	{"HTTP/1.0 keep-alive, both say so", keep10, say(200, "hello", "Content-Length", "5", "Connection", "keep-alive")},
	{"HTTP/1.0 keep-alive, much", keep10, times(300, "0123456789")},
	{"HTTP/1.0 keep-alive, handler closes", keep10, say(200, "x", "Connection", "close")},
	{"HTTP/1.0, coding", get10, say(200, "x", "Transfer-Encoding", "chunked")},
	{"close asked", close1, say(0, "hello")},
	{"close asked, said too", close1, say(200, "hello", "Connection", "close")},
	{"handler closes", "", say(200, "hello", "Connection", "close")},
	{"handler closes in other words", "", say(200, "hello", "Connection", "Close")},
	{"handler closes among others", "", say(200, "hello", "Connection", "foo, close")},
	{"handler says keep-alive", "", say(200, "hello", "Connection", "keep-alive")},
	{"handler says it to one that closes", close1, say(200, "hello", "Connection", "keep-alive")},

	{"2048 bytes", "", times(1024, "xy")},
	{"2049 bytes", "", times(2049, "x")},
	{"2049 bytes at once", "", times(1, strings.Repeat("x", 2049))},
	{"some, then much", "", func(w rw, r req) { times(1, "first")(w, r); times(2, strings.Repeat("x", 3000))(w, r) }},
	{"much as bytes", "", func(w rw, r req) { _, _ = w.Write(bytes.Repeat([]byte("x"), 100_000)) }},
	{"much by lines", "", times(10_000, "0123456789\n")},
	{"a megabyte", "", times(16, strings.Repeat("y", 1<<16))},
	{"a megabyte of known length", "", func(w rw, r req) {
		w.Header().Set("Content-Length", "1048576")
		times(16, strings.Repeat("y", 1<<16))(w, r)
	}},
	{"a long head", "", say(200, "x", "X-Long", strings.Repeat("h", 10_000), "Connection", "close")},
	{"a long head, chunks", "", func(w rw, r req) {
		w.Header().Set("X-Long", strings.Repeat("h", 10_000))
		w.Header().Set("Content-Length", "x")
		times(1, strings.Repeat("x", 5000))(w, r)
	}},
	{"flush", "", func(w rw, r req) {
		w.(http.Flusher).Flush()
		_, _ = io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		_, _ = io.WriteString(w, "y")
	}},
	{"flush by HTTP/1.0", keep10, func(w rw, r req) { w.(http.Flusher).Flush(); _, _ = io.WriteString(w, "x") }},
	{"flush a known length", "", func(w rw, r req) {
		w.Header().Set("Content-Length", "2")
		w.(http.Flusher).Flush()
		times(2, "x")(w, r)
	}},

	{"length", "", say(200, "hello", "Content-Length", "5")},
	{"length, too short", "", say(200, "hello", "Content-Length", "10")},
	{"length, too long", "", func(w rw, r req) {
		w.Header().Set("Content-Length", "5")
		if n, err := io.WriteString(w, "hello!"); n != 0 || err != http.ErrContentLength {
			panic("too much was taken")
		}
	}},
	{"length, in the end too long", "", func(w rw, r req) {
		w.Header().Set("Content-Length", "5")
		times(2, "abc")(w, r)
		times(1, "de")(w, r)
	}},
	{"length 0", "", say(200, "", "Content-Length", "0")},
	{"no length", "", say(200, "x", "Content-Length", "")},
	{"length negative", "", say(200, "hello", "Content-Length", "-5")},
	{"length no number", head11, say(200, "hello", "Content-Length", "five")},
	{"length no number by HTTP/1.0", get10, say(200, "hello", "Content-Length", "five")},
	{"two lengths", "", say(200, "hello", "Content-Length", "5", "Content-Length", "6")},
	{"identity", "", say(200, "hello", "Transfer-Encoding", "identity")},
	{"identity with a length", "", say(200, "hello", "Transfer-Encoding", "identity", "Content-Length", "5")},
	{"chunked", "", say(200, "hello", "Transfer-Encoding", "chunked")},
	{"chunked with a length", "", say(200, "hello", "Transfer-Encoding", "chunked", "Content-Length", "5")},
	{"gzip as coding", "", say(200, "hello", "Transfer-Encoding", "gzip")},

	{"sniff html", "", say(200, "  <!DOCTYPE HTML>")},
	{"sniff png", "", say(200, "\x89PNG\x0d\x0a\x1a\x0a")},
	{"sniff binary", "", say(200, "a\x00b")},
	{"sniff json", "", say(200, `{"a":1}`)},
	{"encoded is not sniffed", "", say(200, "hello", "Content-Encoding", "gzip")},
	{"encoded by nothing is", "", say(200, "hello", "Content-Encoding", "")},
	{"sniff what is pending", "", func(w rw, r req) { times(1, "<ht")(w, r); times(1, "ml>")(w, r) }},

	{"trailer", "", func(w rw, r req) {
		w.Header().Set("Trailer", "X-A, x-b,, Content-Length")
		w.Header().Add("Trailer", "X-C")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-B", "b\nb")
		w.Header().Set("X-A", "a")
		w.Header().Set("X-D", "not declared")
		w.Header().Set(http.TrailerPrefix+"X-E", "e")
	}},
	{"trailer, set before", "", func(w rw, r req) {
		w.Header().Set(http.TrailerPrefix+"X-E", "e")
		_, _ = io.WriteString(w, "body")
	}},
	{"trailer, not chunked", "", say(200, "body", "Trailer", "X-A", "Content-Length", "4")},

	{"body read", post("Content-Length: 5\r\n", "hello"), func(w rw, r req) { _, _ = io.Copy(w, r.Body) }},
	{"body not read", post("Content-Length: 5\r\n", "hello"), say(0, "x")},
	{"chunks not read", post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"), say(0, "x")},
	{"broken chunks not read", post("Transfer-Encoding: chunked\r\n", "5\r\nhelloxx0\r\n\r\n"), say(0, "x")},
	{"body closed", post("Content-Length: 5\r\n", "hello"), func(w rw, r req) { r.Body.Close(); times(1, "x")(w, r) }},
	{"body too long", post("Content-Length: 1000000\r\n", "hello"), say(0, "x")},
	{"body too long, said", post("Content-Length: 1000000\r\n", "hello"), say(0, "x", "Connection", "keep-alive")},
	{"full duplex", post("Content-Length: 5\r\n", "hello"), func(w rw, r req) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		times(1, "x")(w, r)
		w.(http.Flusher).Flush()
		_, _ = io.Copy(w, r.Body)
	}},
	{"continue", post("Content-Length: 5\r\nExpect: 100-continue\r\n", "hello"), func(w rw, r req) { _, _ = io.Copy(w, r.Body) }},
	{"continue, not read", post("Content-Length: 5\r\nExpect: 100-continue\r\n", "hello"), say(0, "x")},
	{"continue by the handler", post("Content-Length: 5\r\nExpect: 100-continue\r\n", "hello"), func(w rw, r req) { w.WriteHeader(100); _, _ = io.Copy(w, r.Body) }},
	{"limit", post("Content-Length: 5\r\n", "hello"), func(w rw, r req) {
		r.Body = http.MaxBytesReader(w, r.Body, 3)
		_, err := io.ReadAll(r.Body)
		http.Error(w, errText(err), http.StatusRequestEntityTooLarge)
	}},
	{"limit not reached", post("Content-Length: 5\r\n", "hello"), func(w rw, r req) {
		r.Body = http.MaxBytesReader(w, r.Body, 5)
		_, _ = io.Copy(w, r.Body)
	}},

	{"panic", "", func(w rw, r req) { panic("oh") }},
	{"panic behind some", "", func(w rw, r req) { times(1, "x")(w, r); panic("oh") }},
	{"panic behind a flush", "", func(w rw, r req) { times(1, "x")(w, r); w.(http.Flusher).Flush(); panic("oh") }},
	{"abort", "", func(w rw, r req) { times(3000, "x")(w, r); panic(http.ErrAbortHandler) }},

	{"read from a reader", "", func(w rw, r req) { copyTo(w, strings.NewReader("hello")) }},
	{"read from a long reader", "", func(w rw, r req) { copyTo(w, strings.NewReader(strings.Repeat("x", 600))) }},
	{"read from a file", "", func(w rw, r req) { copyTo(w, file(600)) }},
	{"read from a file of known length", "", func(w rw, r req) {
		w.Header().Set("Content-Length", "100000")
		copyTo(w, file(100_000))
	}},
	{"read from a file to HEAD", head11, func(w rw, r req) {
		w.Header().Set("Content-Length", "100000")
		copyTo(w, file(100_000))
	}},
	{"serve content", "GET / HTTP/1.1\r\nHost: h\r\nRange: bytes=10-90000\r\n\r\n", func(w rw, r req) {
		http.ServeContent(w, r, "a.txt", time.Time{}, file(100_000).(io.ReadSeeker))
	}},
	{"serve content, ranges", "GET / HTTP/1.1\r\nHost: h\r\nRange: bytes=90000-\r\n\r\n", func(w rw, r req) {
		http.ServeContent(w, r, "", time.Time{}, file(100_000).(io.ReadSeeker))
	}},
	{"redirect", "", func(w rw, r req) { http.Redirect(w, r, "/a?b", http.StatusFound) }},
	{"error", "", func(w rw, r req) { http.Error(w, "no", 500) }},
	{"not found", head11, http.NotFound},
}

// copyTo uses ReadFrom, as io.Copy does with readers that have no WriteTo.
func copyTo(w rw, src io.Reader) {
	if _, err := w.(io.ReaderFrom).ReadFrom(src); err != nil {
		panic(err)
	}
	if c, ok := src.(io.Closer); ok {
		c.Close()
	}
}

// file returns a file of n bytes, which has no name.
func file(n int) io.Reader {
	f, err := os.CreateTemp("", "web-test-")
	if err != nil {
		panic(err)
	}
	os.Remove(f.Name())
	if _, err := f.WriteString(strings.Repeat("file ", n/5)); err != nil {
		panic(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		panic(err)
	}
	return f
}
