package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/httpworker"
	"golang.org/x/sys/unix"
)

func init() { helpers["worker-web-farewell"] = webFarewell }

// At a TERM idle connections are closed at once, and a request that is under way
// is answered to its end.
func TestHTTPDrains(t *testing.T) {
	t.Parallel()
	const idle = 20
	s := serve(t, "--workers", "2", "--", self(), "worker-web-farewell")
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	busy := startTalk(t, &http.Client{Transport: transport, Timeout: limit}, "http://"+s.address)
	busy.say(t, "before")
	var waiting []*client
	for range idle {
		c := dial(t, s.address)
		if err := c.send("GET /me HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(c.in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, c)
	}
	s.until("all are there", func(status master.Status) bool { return status.Connections.Active == idle+1 })
	s.signal(unix.SIGTERM)
	for _, c := range waiting {
		if err := c.atEnd(); err != nil {
			t.Error(err)
		}
		_ = c.conn.Close() // it has ended
	}
	busy.say(t, "after")
	busy.finish(t)
	s.ends(0)
}

// Reloads under load, and no client repeats a request: one kind connects for
// each, the other keeps its connection until an answer says that it is the last.
func TestHTTPReloads(t *testing.T) {
	clients, reloads := sized(10, 50), sized(4, 30) // of either kind
	s := serve(t, "--workers", "2", "--max-workers", "8", "--", self(), "worker-web-farewell")
	var done atomic.Bool
	var hasty, keeping, connected atomic.Int64
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for !done.Load() {
				connected.Add(1)
				if _, err := webVisit(s.address, &hasty, func() bool { return true }); err != nil {
					t.Errorf("a connection each: %v", err)
					return
				}
			}
		})
		group.Go(func() {
			for !done.Load() {
				connected.Add(1)
				last, err := webVisit(s.address, &keeping, done.Load)
				if err != nil || !last && !done.Load() {
					t.Errorf("kept alive: %v", err)
					return
				}
			}
		})
	}
	finish := func() {
		done.Store(true)
		group.Wait()
	}
	t.Cleanup(finish) // if the story did not
	start := time.Now()
	for range reloads {
		before := hasty.Load() + keeping.Load()
		s.reload()
		until(t, "requests are answered meanwhile", func() (bool, string) {
			return hasty.Load()+keeping.Load() > before || t.Failed(), "none"
		})
		s.until("the old workers are gone", ready(2))
	}
	elapsed := time.Since(start)
	finish()
	status := s.until("all have left", func(status master.Status) bool { return status.Connections.Active == 0 })
	t.Logf("%d reloads in %v: %d requests with a connection each, %d kept alive, %d connections, none failed; %+v",
		reloads, elapsed.Round(time.Millisecond), hasty.Load(), keeping.Load(), connected.Load(), status.Connections)
	if c := status.Connections; c.Lost+c.Refused != 0 || int64(c.Accepted) != connected.Load() {
		t.Errorf("%+v, want %d accepted, none lost or refused", c, connected.Load())
	}
	s.stop()
}

// webVisit asks on one connection until an answer says that it is the last, or
// until enough, when the request says so. It returns which of the two it was.
func webVisit(address string, answered *atomic.Int64, enough func() bool) (last bool, err error) {
	c, err := connect(address)
	if err != nil {
		return false, err
	}
	defer c.conn.Close()
	for !last {
		leave := enough()
		header := ""
		if leave {
			header = "Connection: close\r\n"
		}
		if err := c.send("GET /me HTTP/1.1\r\nHost: x\r\n" + header + "\r\n"); err != nil {
			return false, err
		}
		response, err := http.ReadResponse(c.in, nil)
		if err != nil {
			return false, err
		}
		body, err := io.ReadAll(response.Body)
		if want := c.conn.LocalAddr().String() + " HTTP/1.1"; err != nil || string(body) != want {
			return false, fmt.Errorf("got %q, %v; want %q", body, err, want)
		}
		answered.Add(1)
		if leave {
			return false, c.atEnd()
		}
		last = response.Close
	}
	return true, c.atEnd()
}

// webFarewell is for clients that repeat no request.
func webFarewell() {
	worker.Main(worker.Streams(func(l net.Listener) error {
		return httpworker.Serve(l, &http.Server{Handler: webMux()}, 2*time.Second)
	}))
}
