package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/web"
)

func init() {
	helpers["worker-web-handler"] = func() { worker.Main(web.Handler(webHandlerMux())) }
}

// webHandlerMux is webMux, and downloads.
func webHandlerMux() *http.ServeMux {
	mux := webMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello, world\n") }) // who has gone needs none
	// So many bytes as are asked for, without a length before; the same each time.
	mux.HandleFunc("GET /bytes", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.ParseInt(r.FormValue("n"), 10, 64)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = io.CopyN(w, webBytes(), n) // who has gone needs none
	})
	return mux
}

// webBytes is what /bytes sends.
func webBytes() io.Reader { return rand.NewChaCha8([32]byte{2}) }

// webBytesSum is the SHA-256 of n bytes of it.
func webBytesSum(n int64) string {
	sum := sha256.New()
	_, _ = io.CopyN(sum, webBytes(), n) // neither fails
	return fmt.Sprintf("%x", sum.Sum(nil))
}
