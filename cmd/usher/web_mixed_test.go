package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/web"
)

func init() {
	helpers["worker-mixed"] = func() {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%d %s", os.Getpid(), r.RemoteAddr) })
		worker.Main(worker.ByListener(map[string]worker.Handler{
			"":       web.Handler(h),
			"inline": web.Handler(h, web.Inline()),
			"streams": worker.Streams(func(l net.Listener) error {
				server := &http.Server{Handler: h}
				if err := server.Serve(l); !errors.Is(err, net.ErrClosed) {
					return err
				}
				return server.Shutdown(context.Background())
			}),
		}))
	}
}

// One worker serves by package web, on goroutines and on the loop, and by net/http over
// Streams, by listener. Through a reload the connections of the first two go on in the next
// worker, and those of Streams are ended in order.
func TestWebBesideStreams(t *testing.T) {
	t.Parallel()
	const clients = 10
	s := serve(t, "--workers", "2", "--listen", "inline=127.0.0.1:0", "--listen", "streams=127.0.0.1:0", "--", self(), "worker-mixed")
	listeners := s.until("all are ready", ready(2)).Listeners
	connectAll := func() [][]*keepAlive {
		all := make([][]*keepAlive, len(listeners))
		for range clients {
			for i := range listeners {
				conn, err := connect(listeners[i].Address)
				if err != nil {
					t.Fatal(err)
				}
				k := &keepAlive{conn.conn, conn.in}
				k.get(t)
				k.get(t)
				all[i] = append(all[i], k)
			}
		}
		return all
	}
	all := connectAll()
	for range 2 {
		s.reload()
		for i, kept := range all {
			for _, k := range kept {
				if listeners[i].Name != "streams" {
					k.get(t)
				} else if rest, err := io.ReadAll(k.in); len(rest) > 0 || err != nil {
					t.Errorf("of Streams, got %q, %v; want the end", rest, err)
				}
			}
		}
		endKept(all)
		all = connectAll()
	}
	endKept(all)
	s.atRest()
	status := s.until("all are ready", ready(2))
	if counts := status.Connections; counts.Lost != 0 || counts.Accepted != uint64(3*len(all)*clients) {
		t.Errorf("%+v, want none lost", counts)
	}
	s.stop()
}

func endKept(all [][]*keepAlive) {
	for _, some := range all {
		for _, k := range some {
			_ = k.Close() // it has ended, or is idle
		}
	}
}
