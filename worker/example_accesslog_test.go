package worker_test

import (
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/usher-go/usher/worker"
)

// counted is a ResponseWriter that knows what the access log says of an answer.
type counted struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *counted) WriteHeader(status int) {
	if w.status < http.StatusOK { // none yet, or one of those that come before the answer
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *counted) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is what http.ResponseController looks for.
func (w *counted) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// logged has a handler's requests be in the access log.
func logged(log *worker.AccessLog, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !log.Enabled() {
			h.ServeHTTP(w, r)
			return
		}
		began, answer := time.Now(), &counted{ResponseWriter: w}
		defer func() {
			if answer.status == 0 {
				answer.status = http.StatusOK // of an answer without a body
			}
			client, _ := netip.ParseAddrPort(r.RemoteAddr) // a Unix socket's has none
			log.Log(&worker.Access{
				Time: began, Duration: time.Since(began), Remote: client.Addr(),
				Host: r.Host, Method: r.Method, URI: r.RequestURI, Proto: r.Proto,
				Referer: r.Referer(), UserAgent: r.UserAgent(), Status: answer.status, Bytes: answer.bytes,
			})
		}()
		h.ServeHTTP(answer, r)
	})
}

// A program of net/http writes the access log that usher serve --access-log names.
func ExampleWithAccessLog() {
	var log worker.AccessLog
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("hello, world\n")) // the client may have gone
	})
	handler := worker.Streams(func(l net.Listener) error {
		return http.Serve(l, logged(&log, hello))
	})
	if worker.IsWorker() {
		worker.Main(handler, worker.WithAccessLog(&log))
	}
}
