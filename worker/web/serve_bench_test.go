package web_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/usher-go/usher/worker/web"
	"github.com/usher-go/usher/worker/workertest"
)

// BenchmarkHelloInline is a request and its answer on the loop, the test's own two system
// calls included. What matters is what it allocates.
func BenchmarkHelloInline(b *testing.B) {
	c := workertest.New(b, web.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "hello, world\n") // there is room
	}), web.Inline())).Connect()
	b.ReportAllocs()
	for b.Loop() {
		c.Send("GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n")
	}
	if len(c.Received()) == 0 {
		b.Fatal("no answer")
	}
}
