package web_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/web"
	"github.com/usher-go/usher/worker/workertest"
)

var dates = regexp.MustCompile(`Date: [^\r]*\r\n`)

// On the loop all is there when Send returns, byte for byte, however the request was cut.
func TestInlineBytes(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"get", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGET / "},
		{"head", "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"},
		{"post", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nPOST / hi"},
		{"1.0", "GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\nContent-Length: 6\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGET / "},
		{"options", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{"no host", "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request: missing required Host header\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request: missing required Host header"},
	} {
		for _, size := range []int{1, 5, 1000} {
			t.Run(fmt.Sprintf("%s/%d", test.name, size), func(t *testing.T) {
				c := workertest.New(t, web.Handler(http.HandlerFunc(say), web.Inline())).Connect()
				for in := test.in; len(in) > 0; {
					n := min(size, len(in))
					c.Send(in[:n])
					in = in[n:]
				}
				if got := sorted(c.Received()); got != sorted(test.want) {
					t.Errorf("%q, want %q", got, test.want)
				}
			})
		}
	}
}

// sorted returns an answer without its date, and with the lines of its head in order.
func sorted(answer string) string {
	head, body, _ := strings.Cut(dates.ReplaceAllString(answer, ""), "\r\n\r\n")
	status, fields, _ := strings.Cut(head, "\r\n")
	lines := strings.Split(fields, "\r\n")
	for i := range lines {
		for j := range i {
			if lines[i] < lines[j] {
				lines[i], lines[j] = lines[j], lines[i]
			}
		}
	}
	return status + "\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

// Who sends many requests ahead, and reads late, is answered all of them, whatever input a
// worker lets sessions leave: the loop stops when the client owes it some reading, and what
// it has read by then waits.
func TestInlinePipelinedBeyondMaxInput(t *testing.T) {
	const requests, size = 200, 64 << 10
	get := "GET / HTTP/1.1\r\nHost: x\r\nPadding: " + strings.Repeat("x", 150) + "\r\n\r\n"
	handler := web.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, size)) // the client counts
	}), web.Inline())
	for _, most := range []int{1, 1 << 10, 16 << 10} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			c := workertest.New(t, handler, worker.WithMaxInput(most)).Connect()
			c.Send(strings.Repeat(get, requests) + get[:20])
			if closed, err := c.Closed(); closed {
				t.Fatalf("closed: %v", err)
			}
			c.Send(get[20:])
			if got := c.Received(); strings.Count(got, "200 OK") != requests+1 || len(got) < (requests+1)*size {
				t.Errorf("%d answers of %d, %d bytes", strings.Count(got, "200 OK"), requests+1, len(got))
			}
		})
	}
}

// A connection between requests that cannot move has two seconds for one more.
func TestFarewell(t *testing.T) {
	const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	w := workertest.New(t, web.Handler(http.HandlerFunc(say), web.Inline()))
	silent, asks := w.Connect(), w.Connect()
	asks.Send(get)
	if got := asks.Received(); strings.Contains(got, "close") {
		t.Errorf("%q", got)
	}
	w.Drain()
	if asks.Send(get); !strings.Contains(asks.Received(), "Connection: close\r\n") || !asks.Ended() {
		t.Error("the last answer does not say so")
	}
	if silent.Ended() {
		t.Error("it had no time")
	}
	w.Advance(3 * time.Second)
	if !silent.Ended() {
		t.Error("it stays")
	}
}
