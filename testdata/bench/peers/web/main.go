// A worker of usher that says hello over HTTP by package web, each request's handler on a
// goroutine. SIGUSR2 has it collect its garbage.
package main

import (
	"io"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/web"
)

func main() {
	collect := make(chan os.Signal, 1)
	signal.Notify(collect, syscall.SIGUSR2)
	go func() {
		for range collect {
			debug.FreeOSMemory()
		}
	}()
	worker.Main(web.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "hello, world\n") // the client sees what it lacks
	})))
}
