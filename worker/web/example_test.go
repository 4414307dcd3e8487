package web_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/web"
	"github.com/usher-go/usher/worker/workertest"
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
	if worker.IsWorker() { // usher serve --listen :8080 -- ./hello
		worker.Main(handler)
	}

	fmt.Print(get(handler, "/hello/Ada")) // from a worker in this process: see package workertest
	// Output: Hello, Ada!
}

// get returns what a worker in this process answers.
func get(handler worker.Handler, path string) string {
	t := &testing.T{} // that of the test
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := workertest.Serve(t, l, handler)
	defer s.Close() // in a test it is closed by itself
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + l.Addr().String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// A handler that never blocks runs on the loop.
func ExampleInline() {
	handler := web.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n") // the client sees what it lacks
	}), web.Inline())
	if worker.IsWorker() {
		worker.Main(handler)
	}

	fmt.Print(get(handler, "/health"))
	// Output: ok
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
