package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// httpWorker is a worker made of net/http: it says its pid.
func httpWorker() {
	worker.Main(worker.Streams(func(l net.Listener) error {
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%d %s", os.Getpid(), r.RemoteAddr)
		})}
		if err := server.Serve(l); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return server.Shutdown(context.Background())
	}))
}

// keepAlive is a connection to the HTTP worker that stays open.
type keepAlive struct {
	*net.TCPConn
	in *bufio.Reader
}

// get makes a request and wants the client's own address in the answer.
func (k *keepAlive) get(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(k, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(k.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	var pid int
	var client string
	if _, scanErr := fmt.Sscan(string(body), &pid, &client); errors.Join(err, scanErr) != nil || client != k.LocalAddr().String() {
		t.Fatalf("got %q, %v; want a pid and %v", body, errors.Join(err, scanErr), k.LocalAddr())
	}
}

// A server of net/http runs as a worker: its connections are counted, a reload
// ends idle keep-alive connections in order, and so does a stop.
func TestHTTPWorkers(t *testing.T) {
	t.Parallel()
	const clients = 10
	s := serve(t, "--workers", "2", "--", self(), "worker-http")
	connectAll := func() (all []*keepAlive) {
		for range clients {
			conn, err := connect(s.address)
			if err != nil {
				t.Fatal(err)
			}
			k := &keepAlive{conn.conn, conn.in}
			k.get(t)
			k.get(t)
			all = append(all, k)
		}
		return all
	}
	sentAway := func(all []*keepAlive) {
		t.Helper()
		for _, k := range all {
			if rest, err := io.ReadAll(k.in); len(rest) > 0 || err != nil {
				t.Errorf("got %q, %v; want the end", rest, err)
			}
			_ = k.Close() // it has ended
		}
	}
	first := connectAll()
	if status := s.until("all are served", allReady); status.Connections.Active != clients {
		t.Errorf("%d connections active, want %d", status.Connections.Active, clients)
	}
	s.signal(unix.SIGHUP)
	sentAway(first)
	second := connectAll()
	s.signal(unix.SIGTERM)
	sentAway(second)
	s.ends(0)
}
