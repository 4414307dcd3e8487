package web_test

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/web"
)

// A whole worker: any http.Handler.
func ExampleHandler() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello, %s!\n", r.PathValue("name"))
	})
	handler := web.Handler(mux,
		web.ReadHeaderTimeout(10*time.Second),
		web.IdleTimeout(2*time.Minute),
	)
	if !worker.IsWorker() {
		fmt.Println("usher serve --listen :8080 -- ./hello")
		return
	}
	worker.Main(handler)
	// Output: usher serve --listen :8080 -- ./hello
}

// A handler that never blocks runs on the loop.
func ExampleInline() {
	handler := web.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n") // the client sees what it lacks
	}), web.Inline())
	if worker.IsWorker() {
		worker.Main(handler)
	}
}

// A handler that would wait for long answers when its worker leaves: its client asks
// again, and comes to the next worker by the same connection.
func ExampleDraining() {
	news := make(chan string)
	handler := web.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case item := <-news:
			fmt.Fprintln(w, item)
		case <-web.Draining(r.Context()):
			w.WriteHeader(http.StatusNoContent)
		case <-r.Context().Done():
		}
	}))
	if worker.IsWorker() {
		worker.Main(handler)
	}
}
