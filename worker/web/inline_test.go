package web_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

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
