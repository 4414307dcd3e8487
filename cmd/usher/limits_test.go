package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
)

// open returns how many connections the master has let in and not seen closed.
func open(status master.Status) int {
	return int(status.Connections.Active + status.Connections.Queued)
}

// As many are served as --max-conns says, old and new workers together; the
// next when one leaves.
func TestMaxConns(t *testing.T) {
	t.Parallel()
	const most = 3
	s := serve(t, "--app", "lines", "--workers", "2", "--max-conns", fmt.Sprint(most))
	var clients []*client
	for range most {
		c := dial(t, s.address)
		c.ask(t, "hello")
		clients = append(clients, c)
	}
	next := dial(t, s.address) // the kernel's backlog has it
	if err := next.send("waiting\n"); err != nil {
		t.Fatal(err)
	}
	full := func(when string) {
		t.Helper()
		if status, err := s.status(); err != nil || status.Connections.Accepted != most || open(status) != most {
			t.Errorf("%s: %+v, %v; want %d accepted and open", when, status.Connections, err, most)
		}
	}
	full("before the reload")
	s.reload()
	full("after the reload")
	for _, c := range clients {
		c.ask(t, "still here")
	}
	clients[0].leave(t)
	if _, err := next.answer("waiting"); err != nil {
		t.Error(err)
	}
	for _, c := range append(clients[1:], next) {
		c.leave(t)
	}
	s.stop()
}

// Under a crowd there are never more than the limit, and nobody is turned away.
func TestMaxConnsCrowd(t *testing.T) {
	t.Parallel()
	const most, clients = 4, 24
	visits := sized(10, 200)
	s := serve(t, "--app", "lines", "--workers", "2", "--max-conns", fmt.Sprint(most))
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for range visits {
				if err := shortVisit(s.address); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	t.Cleanup(group.Wait) // if the story did not
	unwatch := meanwhile(t, func() bool {
		status, err := s.status()
		good := err == nil && open(status) <= most
		if !good {
			t.Errorf("%+v, %v; want at most %d open", status.Connections, err, most)
		}
		return good
	})
	s.reload()
	group.Wait()
	unwatch()
	if status, err := s.status(); err != nil || status.Connections.Refused+status.Connections.Lost != 0 ||
		status.Connections.Accepted != uint64(clients*visits) {
		t.Errorf("%+v, %v; want %d accepted, none refused or lost", status.Connections, err, clients*visits)
	}
	s.stop()
}

// isClosed waits for the server to close a connection that it was sent nothing on.
func isClosed(t *testing.T, c *client) {
	t.Helper()
	n, err := io.Copy(io.Discard, c.conn)
	if n > 0 || os.IsTimeout(err) {
		t.Errorf("%d bytes, %v; want the end, or a reset", n, err)
	}
}

// One address has no more than --max-conns-per-ip, and what is beyond is closed
// and counted; another address is not concerned.
func TestMaxConnsPerIP(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "2", "--max-conns-per-ip", "2")
	first, second := dial(t, s.address), dial(t, s.address)
	first.ask(t, "hello")
	second.ask(t, "hello")
	isClosed(t, dial(t, s.address))
	other := dialFrom(t, "127.0.0.2", s.address)
	other.ask(t, "hello")
	s.reload() // those of before still count
	isClosed(t, dial(t, s.address))
	s.log.await(t, 1, "connections refused", "limit=max-conns-per-ip", "peer=127.0.0.1:")
	if status, err := s.status(); err != nil || status.Connections.Refused != 2 || open(status) != 3 {
		t.Errorf("%+v, %v; want 2 refused, 3 open", status.Connections, err)
	}
	first.leave(t)
	s.until("it is closed", func(status master.Status) bool { return open(status) == 2 })
	until(t, "the address may connect again", func() (bool, string) {
		c, err := connect(s.address)
		if err != nil {
			return false, err.Error()
		}
		defer c.conn.Close()
		_, err = c.exchange("hello")
		return err == nil, fmt.Sprint(err)
	})
	second.leave(t)
	other.leave(t)
	s.stop()
}

// Beyond the limit clients are closed at once where the operator wants that.
func TestOverloadClose(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "1", "--max-conns", "1", "--overload", "close")
	c := dial(t, s.address)
	c.ask(t, "hello")
	for n := 1; n <= 3; n++ {
		isClosed(t, dial(t, s.address))
		if status, err := s.status(); err != nil || status.Connections.Refused != uint64(n) || open(status) != 1 {
			t.Errorf("%+v, %v; want %d refused, 1 open", status.Connections, err, n)
		}
	}
	s.log.await(t, 1, "connections refused", "limit=overload")
	c.leave(t)
	s.until("it is closed", func(status master.Status) bool { return open(status) == 0 })
	c = dial(t, s.address)
	c.ask(t, "hello")
	c.leave(t)
	s.stop()
}

// A burst of one second's worth is let in, the rest at the rate. That it takes
// no less is what is promised; how much more depends on the machine.
func TestAcceptRate(t *testing.T) {
	t.Parallel()
	const rate, clients = 20, 40
	s := serve(t, "--app", "lines", "--workers", "1", "--accept-rate", fmt.Sprint(rate))
	start := time.Now()
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			if err := shortVisit(s.address); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if elapsed, least := time.Since(start), time.Second*(clients-rate)/rate; elapsed < least {
		t.Errorf("%d clients within %v, want no less than %v at %d in a second", clients, elapsed, least, rate)
	}
	if status, err := s.status(); err != nil || status.Connections.Accepted != clients || status.Connections.Refused != 0 {
		t.Errorf("%+v, %v; want %d accepted, none refused", status.Connections, err, clients)
	}
	s.stop()
}

// What limits is in the file, and a reload changes it.
func TestReloadLimits(t *testing.T) {
	t.Parallel()
	s := serveConfigured(t, `app = "lines"`, `workers = 1`, `max-conns = 1`)
	first := dial(t, s.address)
	first.ask(t, "hello")
	second := dial(t, s.address)
	if err := second.send("waiting\n"); err != nil {
		t.Fatal(err)
	}
	if status, err := s.status(); err != nil || status.Connections.Accepted != 1 {
		t.Errorf("%+v, %v; want 1 accepted", status.Connections, err)
	}
	s.write(`app = "lines"`, `workers = 1`, `max-conns = 2`)
	s.reload()
	if _, err := second.answer("waiting"); err != nil {
		t.Error(err)
	}
	s.write(`app = "lines"`, `workers = 1`, `max-conns = 2`, `overload = "close"`)
	s.reload()
	isClosed(t, dial(t, s.address))
	s.write(`app = "lines"`, `workers = 1`)
	s.reload()
	third := dial(t, s.address)
	third.ask(t, "hello")
	for _, c := range []*client{first, second, third} {
		c.leave(t)
	}
	s.stop()
}
