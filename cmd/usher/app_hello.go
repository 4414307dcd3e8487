package main

import (
	"net/http"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/web"
)

// The answer to every request of the built-in app hello.
var (
	helloText   = []byte("hello, world\n")
	helloType   = []string{"text/plain"}
	helloLength = []string{"13"}
)

// newHello returns the built-in app hello, with which web servers are measured: it answers
// every request on the loop, with a short text.
func newHello() worker.Handler {
	return web.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["Content-Type"] = helloType
		h["Content-Length"] = helloLength
		_, _ = w.Write(helloText) // who has gone needs none
	}), web.Inline())
}
