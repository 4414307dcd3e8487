package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
)

// A server for HTTP is reloaded each second, scaled and upgraded, while clients of many
// kinds ask: net/http's, with requests and answers of 100 MB too, plain and by TLS; and
// programs (curl, wrk, h2load, ab, Python, Node). No request fails, nobody is told to
// connect again, and 200 idle connections answer afterwards.
func TestWebDeploys(t *testing.T) {
	long, clients, idle := sized(3*time.Second, 30*time.Second), sized(4, 10), 100 // of either, plain and by TLS
	large := sized[int](10_000_000, 100_000_000)
	ca, flags := secureFlags(t)
	p := install(t)
	s := p.serve(append(flags, "--workers", "2", "--max-workers", "6", "--", self(), "worker-web-handler")...)
	secure := s.until("all are ready", ready(2)).Listeners[1].Address // the first is plain
	urls := []string{"http://" + s.address, "https://" + secure}
	config := trust(t, ca)

	waiting := make([]*webWaiter, 0, 2*idle)
	for range idle {
		waiting = append(waiting, webWait(t, s.address, nil), webWait(t, secure, config.Clone()))
	}
	var all webCrowd
	t.Cleanup(all.finish) // if the story did not
	for _, url := range urls {
		for range clients {
			all.keep(t, url, config, func(n int) webErrand { return webErrand{size: 1 + n*7919%50_000, up: n%2 == 0} })
		}
		for _, up := range []bool{true, false} {
			all.keep(t, url, config, func(int) webErrand { return webErrand{size: large, up: up} })
		}
	}
	programs := startWebPrograms(t, s.address)
	deploys := deployWhile(t, p, s, long)
	asked := programs.finish()
	all.finish()
	for _, w := range waiting {
		w.again(t)
	}
	status := s.until("all have left", func(status master.Status) bool { return status.Connections.Active == 0 })
	t.Logf("%v: %d requests and %d bytes by %d connections of net/http's client, none failed, and by programs: %s; %d of %d idle connections answer; %+v",
		deploys, all.requests.Load(), all.bytes.Load(), all.connected.Load(), asked, len(waiting), 2*idle, status.Connections)
	// A client of net/http's gives a connection up by itself if its own goroutine has not said
	// within 50 ms of an answer that the request is written, as on a busy machine.
	if want := int64(2 * (clients + 2)); all.ended.Load() != 0 || all.connected.Load() < want {
		t.Errorf("%d of %d connections of net/http's clients were ended by the server, want none of %d", all.ended.Load(), all.connected.Load(), want)
	}
	if c := status.Connections; c.Lost+c.Refused+c.Cut != 0 {
		t.Errorf("%+v, want none lost, refused or cut", c)
	}
	s.stop()
}

// deploys is what was done to a server.
type deploys struct{ reloads, scalings, upgrades int }

func (d deploys) String() string {
	return fmt.Sprintf("%d reloads, %d scalings, %d upgrades", d.reloads, d.scalings, d.upgrades)
}

// deployWhile reloads a server each second, or tenth of one, for so long; and scales and
// upgrades it. What is still finishing is waited for, if it is much: else it would be cut.
func deployWhile(t *testing.T, p *program, s *server, long time.Duration) (done deploys) {
	t.Helper()
	ask := func(args ...string) {
		t.Helper()
		if got := usherWithin(t, patience, append(args, "--control", s.control)...); got.code != 0 {
			t.Fatalf("usher %v: %+v", args, got)
		}
	}
	pace := time.NewTicker(sized(300*time.Millisecond, time.Second))
	defer pace.Stop()
	start := time.Now()
	for time.Since(start) < long || done.upgrades < 2 {
		<-pace.C
		ask("reload")
		done.reloads++
		switch done.reloads % 4 {
		case 1:
			ask("scale", "4")
			done.scalings++
		case 3:
			ask("scale", "2")
			done.scalings++
		}
		if time.Since(start) > long/3 && done.upgrades == 0 || time.Since(start) > long*2/3 && done.upgrades == 1 {
			p.replace()
			ask("upgrade")
			s.runs(p)
			done.upgrades++
		}
		s.until("few old generations are finishing", func(status master.Status) bool { return lingering(status) < 2 })
	}
	ask("scale", "2")
	return done
}

// webCrowd is clients of net/http's that ask until they are told to finish.
type webCrowd struct {
	done            atomic.Bool
	group           sync.WaitGroup
	requests, bytes atomic.Int64
	connected       atomic.Int64 // connections
	ended           atomic.Int64 // of those, by the server
}

// keptConn is a connection that the client is to end.
type keptConn struct {
	net.Conn
	closed atomic.Bool // by the client
	crowd  *webCrowd
}

func (c *keptConn) Close() error {
	c.closed.Store(true)
	return c.Conn.Close()
}

func (c *keptConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && !c.closed.Load() {
		c.crowd.ended.Add(1)
	}
	return n, err
}

// dial connects.
func (c *webCrowd) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.connected.Add(1)
	return &keptConn{Conn: conn, crowd: c}, nil
}

// webErrand is a request: so many bytes up, or down.
type webErrand struct {
	size int
	up   bool
}

// keep starts a client that keeps its connection.
func (c *webCrowd) keep(t *testing.T, url string, config *tls.Config, next func(n int) webErrand) {
	c.group.Go(func() {
		transport := &http.Transport{TLSClientConfig: config.Clone(), DialContext: c.dial}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport, Timeout: patience}
		for n := 0; !c.done.Load() && !t.Failed(); n++ {
			if err := c.run(t, client, url, next(n)); err != nil {
				t.Errorf("%s, request %d: %v", url, n, err)
			}
		}
	})
}

// run asks once.
func (c *webCrowd) run(t *testing.T, client *http.Client, url string, errand webErrand) error {
	method, path, body := "GET", fmt.Sprintf("/bytes?n=%d", errand.size), io.Reader(http.NoBody)
	want := webBytesSum(int64(errand.size))
	if errand.up {
		var sent []byte
		sent, want = upload(errand.size)
		method, path, body = "POST", "/sum", bytes.NewReader(sent)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, url+path, body)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK || response.Close {
		return fmt.Errorf("%s, the last on its connection: %v; want 200, and more to come", response.Status, response.Close)
	}
	var got string
	if errand.up {
		answer, readErr := io.ReadAll(response.Body)
		got, err = string(answer), readErr
	} else {
		sum := sha256.New()
		_, err = io.Copy(sum, response.Body)
		got = fmt.Sprintf("%x", sum.Sum(nil))
	}
	if got != want || err != nil {
		return fmt.Errorf("%s %s: %q, %v; want %q", method, path, got, err, want)
	}
	c.requests.Add(1)
	c.bytes.Add(int64(errand.size))
	return nil
}

// finish has them end, with the request that they are at.
func (c *webCrowd) finish() {
	c.done.Store(true)
	c.group.Wait()
}

// webWaiter is a connection that asks once, and again when all is over.
type webWaiter struct {
	conn net.Conn
	in   *bufio.Reader
	wire net.Conn
}

// webWait connects and asks, by TLS if config is not nil.
func webWait(t *testing.T, address string, config *tls.Config) *webWaiter {
	t.Helper()
	wire, err := net.DialTimeout("tcp", address, limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = wire.Close() }) // if the story did not
	w := &webWaiter{conn: wire, wire: wire}
	if config != nil {
		config.ServerName = "both.example"
		w.conn = tls.Client(wire, config)
	}
	w.in = bufio.NewReader(w.conn)
	if err := w.ask(); err != nil {
		t.Fatal(err)
	}
	return w
}

// ask asks who it is.
func (w *webWaiter) ask() error {
	if err := w.wire.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(w.conn, "GET /me HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return err
	}
	response, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(response.Body)
	if want := w.wire.LocalAddr().String() + " HTTP/1.1"; string(body) != want || response.Close {
		return errors.Join(err, fmt.Errorf("got %q, the last: %v; want %q", body, response.Close, want))
	}
	return err
}

// again asks on the same connection, and leaves.
func (w *webWaiter) again(t *testing.T) {
	t.Helper()
	if err := errors.Join(w.ask(), w.conn.Close()); err != nil {
		t.Errorf("an idle connection, afterwards: %v", err)
	}
}
