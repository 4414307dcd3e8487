package load

import (
	"bufio"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// rightAnswer is one that a connection goes on behind.
const rightAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

// The ends of connections of HTTP are told apart by what had come of an answer: the server
// here does a thing once, and then serves.
func TestHTTPFailures(t *testing.T) {
	reset := func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) } // a socket has that
	for _, test := range []struct {
		name, kind string
		once       func(c net.Conn, request func() bool)
	}{
		{"closed with the first request", KindUnanswered, func(c net.Conn, request func() bool) { request() }},
		{"reset with the first request", KindUnanswered, func(c net.Conn, request func() bool) { request(); reset(c) }},
		{"closed with the second", KindStale, func(c net.Conn, request func() bool) {
			request()
			write(c, rightAnswer)
			request()
		}},
		{"reset with the second", KindStale, func(c net.Conn, request func() bool) {
			request()
			write(c, rightAnswer)
			request()
			reset(c)
		}},
		{"closed in the first line", KindCut, func(c net.Conn, request func() bool) {
			request()
			write(c, "HTTP/1.1 2")
		}},
		{"closed behind an interim answer", KindCut, func(c net.Conn, request func() bool) {
			request()
			write(c, "HTTP/1.1 100 Continue\r\n\r\n")
		}},
		{"closed in a body", KindCut, func(c net.Conn, request func() bool) {
			request()
			write(c, rightAnswer)
			request()
			write(c, rightAnswer[:len(rightAnswer)-1])
		}},
		{"closed before the last chunk", KindCut, func(c net.Conn, request func() bool) {
			request()
			write(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		}},
		{"another status", KindStatus, func(c net.Conn, request func() bool) {
			request()
			write(c, "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nwait")
			for request() {
				write(c, rightAnswer)
			}
		}},
		{"no HTTP", KindWrong, func(c net.Conn, request func() bool) { request(); write(c, "220 mail ready\r\n\r\n") }},
		{"two answers", KindWrong, func(c net.Conn, request func() bool) { request(); write(c, rightAnswer+rightAnswer) }},
		{"silence", KindTimeout, func(c net.Conn, request func() bool) { request(); request() }},
		{"said to be the last", "", func(c net.Conn, request func() bool) {
			request()
			write(c, strings.Replace(rightAnswer, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var done atomic.Bool
			p := httpPlan(serveRequests(t, func(c net.Conn, request func() bool) {
				if !done.Swap(true) {
					test.once(c, request)
					return
				}
				for request() {
					write(c, rightAnswer)
				}
			}))
			p.Conns, p.Requests = 1, 10
			if test.kind == KindTimeout {
				p.Timeout = 200 * time.Millisecond
			}
			r, err := Run(t.Context(), p, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			failed := int64(0)
			if test.kind != "" {
				failed = 1
			}
			if int64(len(r.Errors)) != failed || test.kind != "" && r.Errors[test.kind] != failed {
				t.Errorf("%+v", r)
			}
			if test.kind == KindTimeout { // there is nobody to send the rest to
				return
			}
			if answers := r.HTTP.Statuses["200"]; r.Requests+failed != p.Requests && test.name != "two answers" || answers < r.Requests || answers > r.Requests+1 {
				t.Errorf("%+v, %+v", r, r.HTTP)
			}
			if r.HTTP.IdleClosed > 0 || test.kind == KindStatus && r.HTTP.Statuses["503"] != 1 {
				t.Errorf("%+v", r.HTTP)
			}
		})
	}
}

// serveRequests serves connections, each with a function that reads a request, and reports
// whether there was one.
func serveRequests(t testing.TB, serve func(c net.Conn, request func() bool)) (address string) {
	return serveConns(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		serve(c, func() bool {
			r, err := nethttp.ReadRequest(in)
			if err == nil {
				_, err = io.Copy(io.Discard, r.Body)
			}
			return err == nil
		})
	})
}

// A connection that ends between requests is nobody's loss: it is counted, and the next
// request has a new one.
func TestHTTPEndsBetweenRequests(t *testing.T) {
	for _, way := range []string{"closed", "reset"} {
		t.Run(way, func(t *testing.T) {
			p := httpPlan(serveRequests(t, func(c net.Conn, request func() bool) {
				if request() {
					write(c, rightAnswer)
				}
				if way == "reset" {
					_ = c.(*net.TCPConn).SetLinger(0) // a socket has that
				}
			}))
			p.Conns, p.Requests, p.Rate = 1, 10, 20 // so slow that the end is there before the next
			r, err := Run(t.Context(), p, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			// A request that was sent all the same is told as one: no timing decides.
			if r.Requests+r.Errors[KindStale] != 10 || int64(len(r.Errors)) > min(r.Errors[KindStale], 1) || r.HTTP.IdleClosed+r.Errors[KindStale] < r.Requests-1 {
				t.Errorf("%+v, %+v", r, r.HTTP)
			}
		})
	}
}

// Idle ones that the server has ended do not answer at the end.
func TestHTTPIdleEnd(t *testing.T) {
	var conns atomic.Int64
	p := httpPlan(serveRequests(t, func(c net.Conn, request func() bool) {
		gone := conns.Add(1)%2 == 0
		for request() {
			write(c, rightAnswer)
			if gone {
				return
			}
		}
	}))
	p.Conns, p.Idle, p.Requests, p.Duration = 0, 10, 0, 300*time.Millisecond
	r, err := Run(t.Context(), p, nil, nil)
	if err != nil || r.OK || r.Idle.Opened != 10 || r.Idle.Answered != 5 || r.HTTP.IdleClosed+r.Errors[KindStale] != 5 {
		t.Errorf("%+v, %+v, %v", r, r.HTTP, err)
	}
}

// With close each request has a connection, which the server is told to end; one that
// does not is an error.
func TestHTTPClose(t *testing.T) {
	for _, test := range []struct {
		name, kind string
		serve      func(c net.Conn, request func() bool)
	}{
		{"ended", "", func(c net.Conn, request func() bool) { request(); write(c, rightAnswer) }},
		{"ended, and said so", "", func(c net.Conn, request func() bool) {
			request()
			write(c, strings.Replace(rightAnswer, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
		}},
		{"without a length", "", func(c net.Conn, request func() bool) { request(); write(c, "HTTP/1.0 200 OK\r\n\r\nhello") }},
		{"kept", KindTimeout, func(c net.Conn, request func() bool) {
			for request() {
				write(c, rightAnswer)
			}
		}},
		{"more", KindWrong, func(c net.Conn, request func() bool) {
			request()
			write(c, rightAnswer)
			write(c, rightAnswer)
		}},
		{"reset", KindReset, func(c net.Conn, request func() bool) {
			request()
			write(c, rightAnswer)
			_ = c.(*net.TCPConn).SetLinger(0) // a socket has that
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var conns atomic.Int64
			p := httpPlan(serveRequests(t, func(c net.Conn, request func() bool) {
				conns.Add(1)
				test.serve(c, request)
			}))
			p.Churn, p.Close, p.Conns, p.Requests = true, true, 1, 5
			if test.kind == KindTimeout {
				p.Timeout = 200 * time.Millisecond
			}
			r, err := Run(t.Context(), p, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if test.kind == "" && (!r.OK || r.Requests != 5 || r.Connections != 5 || conns.Load() != 5) {
				t.Errorf("%+v", r)
			}
			// The last connection may be left before its end is known, or what comes behind.
			if test.kind != "" && (r.OK || r.Errors[test.kind] < 4 || len(r.Errors) != 1) {
				t.Errorf("%+v", r)
			}
		})
	}
}
