package main

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// Crowds come from several addresses, each of which may have so many connections
// and no more: through reloads too, never are more served at once, everyone
// beyond is closed and counted, and no address takes another's share.
func TestMaxConnsPerIPCrowd(t *testing.T) {
	const most, addresses, each = 3, 4, 8
	visits, reloads := int64(sized(200, 2000)), sized(2, 10)
	s := serve(t, "--app", "lines", "--workers", "2", "--max-conns-per-ip", fmt.Sprint(most))
	var served, turnedAway atomic.Int64
	var open [addresses]atomic.Int64
	var highest [addresses]atomic.Int64
	var group sync.WaitGroup
	for i := range addresses {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i))}, Timeout: limit}
		for range each {
			group.Go(func() {
				for served.Load() < visits && !t.Failed() {
					letIn, err := visitLimited(&dialer, s.address, &open[i], &highest[i])
					if err != nil {
						t.Error(err)
					} else if letIn {
						served.Add(1)
					} else {
						turnedAway.Add(1)
					}
				}
			})
		}
	}
	for range reloads {
		before := served.Load()
		s.reload()
		until(t, "clients have been served meanwhile", func() (bool, string) {
			now := served.Load()
			return now > before || now >= visits || t.Failed(), fmt.Sprint(now)
		})
	}
	group.Wait()
	s.atRest()
	status, err := s.status()
	if err != nil {
		t.Fatal(err)
	}
	var peaks []int64
	for i := range highest {
		peaks = append(peaks, highest[i].Load())
		if peaks[i] > most {
			t.Errorf("%d connections served at once from address %d, want at most %d", peaks[i], i, most)
		}
	}
	counts := status.Connections
	t.Logf("%d addresses, at most %d of each: %d served, at most %v at once, %d refused, %d reloads; %+v",
		addresses, most, served.Load(), peaks, turnedAway.Load(), status.Generation-1, counts)
	if counts.Refused != uint64(turnedAway.Load()) || counts.Closed != uint64(served.Load()) || counts.Lost != 0 || counts.Refused == 0 {
		t.Errorf("%+v; want %d served, %d refused, some of them, none lost", counts, served.Load(), turnedAway.Load())
	}
	s.stop()
}

// visitLimited connects and, if it is let in, exchanges a few lines and leaves.
// While it is certain that the server has the connection open, it is counted.
func visitLimited(dialer *net.Dialer, address string, open, highest *atomic.Int64) (served bool, err error) {
	c, err := connectBy(dialer, address)
	if err != nil {
		return false, err
	}
	defer c.conn.Close()
	if _, err := c.exchange("hello"); err != nil {
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			return false, err
		}
		return false, nil // closed
	}
	for now := open.Add(1); ; {
		was := highest.Load()
		if now <= was || highest.CompareAndSwap(was, now) {
			break
		}
	}
	for range 3 {
		if _, err = c.exchange("again"); err != nil {
			break
		}
	}
	open.Add(-1) // the server has it for a while yet
	return true, errors.Join(err, c.end())
}

// The next client is served when one leaves, just one, and whether that one
// leaves in order, by a reset, or by its worker's death makes no difference.
func TestMaxConnsLetsOneIn(t *testing.T) {
	t.Parallel()
	const most = 3
	s := serve(t, "--app", "lines", "--workers", "2", "--max-conns", fmt.Sprint(most))
	type guest struct {
		*client
		pid int
		err error
	}
	served := make(chan guest, 100)
	come := func() {
		c := dial(t, s.address)
		if err := c.send("hello\n"); err != nil {
			t.Fatal(err)
		}
		go func() {
			pid, err := c.answer("hello")
			served <- guest{c, pid, err}
		}()
	}
	next := func() guest {
		t.Helper()
		select {
		case g := <-served:
			if g.err != nil {
				t.Fatal(g.err)
			}
			return g
		case <-time.After(limit):
			t.Fatal("nobody is let in")
		}
		panic("unreachable")
	}
	var inside []guest
	for range most {
		come()
		inside = append(inside, next())
	}
	ways := []struct {
		name  string
		leave func(guest)
	}{
		{"in order", func(g guest) { g.leave(t) }},
		{"by a reset", func(g guest) { _ = errors.Join(g.conn.SetLinger(0), g.conn.Close()) }}, // a socket has both
		{"by a client's close with an answer unread", func(g guest) { _ = errors.Join(g.send("hello\n"), g.conn.Close()) }},
		{"through a reload", func(g guest) { s.reload(); g.leave(t) }},
	}
	for range len(ways) {
		come() // they wait in the backlog
	}
	for _, way := range ways {
		status, err := s.status()
		if err != nil || len(served) > 0 || status.Connections.Active+status.Connections.Queued != most {
			t.Errorf("%s: before it, %+v, %v, and %d more answered; want %d open", way.name, status.Connections, err, len(served), most)
		}
		way.leave(inside[0])
		inside = append(inside[1:], next())
	}
	// A worker dies: as many as it had may come in.
	lost := 0
	for i := range inside { // it may have moved at the reload
		inside[i].pid = inside[i].ask(t, "where?")
	}
	victim := inside[0].pid
	for _, g := range inside {
		if g.pid == victim {
			lost++
		}
	}
	for range lost + 1 {
		come()
	}
	kill(t, victim, unix.SIGKILL)
	for range lost {
		inside = append(inside, next())
	}
	s.until("the books say so too", func(status master.Status) bool {
		return status.Connections.Active == most && status.Connections.Lost == uint64(lost)
	})
	if len(served) > 0 {
		t.Errorf("%d more answered", len(served))
	}
	for _, g := range inside {
		if g.pid == victim {
			_ = g.conn.Close() // its end was its worker's
		} else {
			g.leave(t)
		}
	}
	next().leave(t)
	s.stop()
}
