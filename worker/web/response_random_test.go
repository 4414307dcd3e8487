package web

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// step is one thing that a handler does.
type step struct {
	name string
	do   func(w http.ResponseWriter, r *http.Request)
}

// randomStep draws one of the things that handlers do, with what they may do it with.
func randomStep(rnd *rand.Rand) step {
	pick := func(from ...string) string { return from[rnd.IntN(len(from))] }
	switch rnd.IntN(12) {
	case 0, 1, 2, 3:
		name := pick("Content-Type", "Content-Length", "Connection", "Transfer-Encoding", "Date", "Content-Encoding", "Trailer", "X-A", "x-b", "Trailer:X-T", "Etag")
		value := pick("", "5", "2048", "3000", "close", "keep-alive", "chunked", "identity", "gzip", "X-A", "a\r\nb", "text/html")
		return step{fmt.Sprintf("Header[%q] = %q", name, value), func(w http.ResponseWriter, _ *http.Request) { w.Header()[name] = []string{value} }}
	case 4:
		name := pick("Content-Type", "Content-Length", "Date", "X-A", "Transfer-Encoding")
		return step{fmt.Sprintf("Header[%q] = nil", name), func(w http.ResponseWriter, _ *http.Request) { w.Header()[name] = nil }}
	case 5, 6:
		code := []int{100, 103, 200, 201, 204, 304, 404, 500, 777}[rnd.IntN(9)]
		return step{fmt.Sprintf("WriteHeader(%d)", code), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }}
	case 7:
		return step{"Flush", func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() }}
	case 8:
		n := []int{1, 5, 512, 1000, 5000}[rnd.IntN(5)]
		return step{fmt.Sprintf("ReadFrom(%d)", n), func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader(strings.Repeat("r", n)))
		}}
	case 9:
		return step{"read the body", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }}
	default:
		n := []int{0, 1, 5, 2047, 2048, 2049, 5000}[rnd.IntN(7)]
		return step{fmt.Sprintf("Write(%d)", n), func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("w"), n)) }}
	}
}

// TestRandomHandlers has handlers of random steps answer by net/http's server and here, as
// TestAnswersAreNetHTTPs has those of a table.
func TestRandomHandlers(t *testing.T) {
	requests := []string{get11, get10, keep10, head11, close1, post("Content-Length: 5\r\n", "hello"),
		post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"), post("Content-Length: 5\r\nExpect: 100-continue\r\n", "hello"),
		"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"}
	for seed := range uint64(randomHandlers) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		raw := requests[rnd.IntN(len(requests))]
		var steps []step
		var names []string
		for range 1 + rnd.IntN(7) {
			s := randomStep(rnd)
			steps, names = append(steps, s), append(names, s.name)
		}
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, s := range steps {
				s.do(w, r)
			}
		})
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			want, wantOn, _ := byNetHTTP(t, raw, h)
			var wire recorder
			_, behind := serveForTest(t, raw+nextRequest, h, &wire, io.Discard)
			want = dates.ReplaceAllString(want, "Date: D")
			got := dates.ReplaceAllString(wire.sent.String(), "Date: D")
			if !wantOn {
				got, want = stricter(got, want)
			}
			if got != want || wantOn != (wire.ending == keepAlive) || wantOn && behind != nextRequest {
				t.Errorf("%q, %s\nanswer    %q, %d\nnet/http's %q, goes on: %v", raw, strings.Join(names, "; "), short(got), wire.ending, short(want), wantOn)
			}
		})
	}
}

// stricter returns the last answers on a connection without that in which they differ: here
// no HTTP/1.0 client is told keep-alive then, and what is read from a reader is not sent
// beyond the declared length.
func stricter(got, want string) (string, string) {
	if strings.HasPrefix(want, "HTTP/1.0") {
		const told = "\r\nConnection: keep-alive\r\n"
		got, want = strings.Replace(got, told, "\r\n", 1), strings.Replace(want, told, "\r\n", 1)
	}
	head, body, _ := strings.Cut(want, "\r\n\r\n")
	_, line, declared := strings.Cut(head, "\r\nContent-Length: ")
	line, _, _ = strings.Cut(line, "\r\n")
	if n, err := strconv.Atoi(line); declared && err == nil && n < len(body) && strings.HasPrefix(want, got) && len(got) >= len(head) {
		want = got
	}
	return got, want
}

// randomHandlers is how many are tried; each has a server of net/http's of its own.
const randomHandlers = 200
