package httpworker_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/httpworker"
)

// A whole worker: a server of net/http, which ends without losing a request. A test
// calls its function with a listener of package net, and closes that as a drain does.
func ExampleServe() {
	serve := func(l net.Listener) error {
		hello := func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "hello\n") // the client sees what it lacks
		}
		return httpworker.Serve(l, &http.Server{Handler: http.HandlerFunc(hello)}, 2*time.Second)
	}
	if worker.IsWorker() {
		worker.Main(worker.Streams(serve))
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- serve(l) }()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if response, err := client.Get("http://" + l.Addr().String()); err != nil {
		fmt.Println(err)
	} else {
		body, err := io.ReadAll(response.Body)
		fmt.Printf("%s%v\n", body, err)
		response.Body.Close()
	}
	_ = l.Close() // the worker drains
	fmt.Println("it has ended, error:", <-ended)
	// Output:
	// hello
	// <nil>
	// it has ended, error: <nil>
}
