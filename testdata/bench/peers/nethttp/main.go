// An HTTP server of net/http, with TLS if it gets a certificate. SIGUSR2 has it collect
// its garbage.
//
//	nethttp PORT [CERT KEY]
package main

import (
	"log"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
)

func main() {
	collect := make(chan os.Signal, 1)
	signal.Notify(collect, syscall.SIGUSR2)
	go func() {
		for range collect {
			debug.FreeOSMemory()
		}
	}()
	server := &http.Server{
		Addr:        "127.0.0.1:" + os.Args[1],
		IdleTimeout: time.Hour,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write([]byte("hello, world\n")) // the client sees what it lacks
		}),
	}
	if len(os.Args) < 4 {
		log.Fatal(server.ListenAndServe())
	}
	log.Fatal(server.ListenAndServeTLS(os.Args[2], os.Args[3]))
}
