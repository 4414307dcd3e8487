package web

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// What a handler may do with a body before, while and behind the head of its answer, and what
// comes of it, is what it is with net/http's server, on goroutines and on the loop.
func TestBodiesAsNetHTTP(t *testing.T) {
	const (
		hello   = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
		chunks  = "POST / HTTP/1.1\r\nHost: x\r\nTrailer: A\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n"
		waiting = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello"
	)
	long := strings.Repeat("a", 5000) // beyond what waits for the length to be known
	tell := func(w io.Writer, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%q %v %q\n", b, err, r.Trailer)
	}
	limit := func(w http.ResponseWriter, r *http.Request) { r.Body = http.MaxBytesReader(w, r.Body, 2) }
	for _, test := range []struct {
		name, in string
		serve    http.HandlerFunc
	}{
		{"read behind the head", hello, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, long); tell(w, r) }},
		{"read before and behind", hello, func(w http.ResponseWriter, r *http.Request) { tell(w, r); io.WriteString(w, long); tell(w, r) }},
		{"chunks read behind the head", chunks, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, long); tell(w, r) }},
		{"chunks read before and behind", chunks, func(w http.ResponseWriter, r *http.Request) { tell(w, r); io.WriteString(w, long); tell(w, r) }},
		{"a trailer before its body", chunks, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%q\n", r.Trailer); tell(w, r) }},
		{"an awaited body read behind the head", waiting, func(w http.ResponseWriter, r *http.Request) { tell(w, r); io.WriteString(w, long); tell(w, r) }},
		{"an awaited body closed", waiting, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Body.Close()) }},
		{"an awaited body closed, then read", waiting, func(w http.ResponseWriter, r *http.Request) { r.Body.Close(); tell(w, r) }},
		{"a malformed trailer, closed", strings.Replace(chunks, "A: b", "A b", 1), func(w http.ResponseWriter, r *http.Request) { tell(w, r); fmt.Fprint(w, r.Body.Close()) }},
		{"a limit", hello, func(w http.ResponseWriter, r *http.Request) { limit(w, r); tell(w, r) }},
		{"a limit of chunks", chunks, func(w http.ResponseWriter, r *http.Request) { limit(w, r); tell(w, r) }},
		{"a limit behind the status", hello, func(w http.ResponseWriter, r *http.Request) { limit(w, r); w.WriteHeader(404); tell(w, r) }},
		{"a limit behind the head", hello, func(w http.ResponseWriter, r *http.Request) { limit(w, r); io.WriteString(w, long); tell(w, r) }},
		{"a limit before 103", hello, func(w http.ResponseWriter, r *http.Request) {
			limit(w, r)
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusEarlyHints)
		}},
		{"OPTIONS * with much", "OPTIONS * HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n" + long, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := []byte(test.in + "GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					test.serve(w, r)
				}
			})
			theirs := parseAnswers(date.ReplaceAllString(newNetHTTP(t, h).answer(in), ""))
			for name, opts := range map[string][]Option{"on a goroutine": nil, "on the loop": {Inline()}} {
				ours := parseAnswers(date.ReplaceAllString(newServed(t, h, opts...).answer(in), ""))
				if fmt.Sprint(ours.texts) != fmt.Sprint(theirs.texts) {
					t.Errorf("%s:\n%q, want\n%q", name, ours.texts, theirs.texts)
				}
			}
		})
	}
}
