// A worker of usher that serves HTTP with net/http.
package main

import (
	"net"
	"net/http"
	"time"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/httpworker"
)

func main() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte("hello, world\n")) // the client sees what it lacks
	})
	worker.Main(worker.Streams(func(l net.Listener) error {
		return httpworker.Serve(l, &http.Server{Handler: handler}, 2*time.Second)
	}))
}
