package web

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestTenThousandPipelinedRequests(t *testing.T) {
	const requests = 10_000
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("hello")) })
	for name, opts := range map[string][]Option{"on goroutines": nil, "Inline": {Inline()}} {
		t.Run(name, func(t *testing.T) {
			all := newServed(t, hello, opts...).answer([]byte(strings.Repeat(aGET+"\r\n", requests)))
			if n := strings.Count(all, "\r\n\r\nhello"); n != requests {
				t.Errorf("%d answers to %d requests", n, requests)
			}
		})
	}
}

// TestSlowHeads: 1,000 clients that have sent a part of a head are closed when their time
// is over, and meanwhile others are served.
func TestSlowHeads(t *testing.T) {
	const clients = 1000
	server := newServed(t, http.HandlerFunc(described), ReadHeaderTimeout(time.Second))
	var slow []net.Conn
	defer func() {
		for _, c := range slow {
			_ = c.Close()
		}
	}()
	for range clients {
		c, err := net.Dial(server.network, server.address)
		if err != nil {
			t.Fatal(err)
		}
		slow = append(slow, c)
		if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost")); err != nil {
			t.Fatal(err)
		}
	}
	if got := parseAnswers(server.answer([]byte(aGET + "\r\n"))).statuses; got != "200" {
		t.Errorf("another client is answered %q", got)
	}
	for _, c := range slow {
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || strings.Contains(err.Error(), "timeout") {
			t.Fatalf("%d bytes, %v: want an end without an answer", n, err)
		}
	}
}
