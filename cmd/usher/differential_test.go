package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

var seed = flag.Uint64("seed", 0, "of TestAnyOrdersAnyMoves and TestAnyRequestsAnyMoves: what their clients do; 0: another each time")

// Clients send orders at random, in any fragments, which are answered in every
// way that a session has, while connections move to and fro and workers come and
// go: each gets the bytes, and the end, that a model knows of without a worker.
//
// A client that fails names its seed: go test -run TestAnyOrders -seed=N has
// the first one do the same again.
func TestAnyOrdersAnyMoves(t *testing.T) {
	atATime, duration := sized(30, 100), sized(8*time.Second, 120*time.Second)
	path := filepath.Join(t.TempDir(), "file")
	file := pseudo(1, fileSize)
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	// Of a Unix socket the kernel keeps little, and the worker the rest.
	socket := filepath.Join(shortDir(t), "s")
	s := serve(t, "--listen", "unix://"+socket, "--workers", "2", "--max-workers", "8", "--", self(), "worker-doing", path)
	start := *seed
	if start == 0 {
		start = uint64(time.Now().UnixNano())
	}
	over := time.Now().Add(duration)
	var next, orders, received atomic.Uint64
	next.Store(start)
	var clients, others sync.WaitGroup
	for range atATime {
		clients.Go(func() {
			for time.Now().Before(over) && !t.Failed() {
				c := newDifferential(next.Add(1) - 1)
				if err := c.run(s.address, socket, file); err != nil {
					t.Errorf("the client of seed %d: %v", c.seed, err)
				}
				orders.Add(uint64(len(c.errand.orders)))
				received.Add(uint64(c.received))
			}
		})
	}
	done := make(chan struct{})
	movers := &unrest{s: s, r: rand.New(random(start, 'm')), acts: []act{move}}
	staff := &unrest{s: s, r: rand.New(random(start, 't')), acts: []act{rescale, terminate, reload}}
	for _, u := range []*unrest{movers, staff} {
		others.Go(func() { u.goOn(done) })
	}
	clients.Wait()
	close(done)
	others.Wait()

	staff.atRest()
	counts := s.until("two workers, and nobody else", func(status master.Status) bool {
		return ready(s.workers)(status) && status.Connections.Active+status.Connections.Queued == 0
	}).Connections
	n := next.Load() - start
	t.Logf("seed %d: %d clients, %d at a time, %d orders, %d MB of answers; %d moves, %d changes of workers; %+v",
		start, n, atATime, orders.Load(), received.Load()/1e6, movers.done, staff.done, counts)
	if counts.Lost+counts.Refused != 0 || counts.Accepted != n {
		t.Errorf("%+v; want %d accepted, none lost or refused", counts, n)
	}
	for _, line := range append(s.log.with("worker died"), s.log.with("handler panicked")...) {
		t.Errorf("in the log: %s", line)
	}
	s.stop()
}

// mostRests is how often a client rests in the midst of sending, or of receiving.
const mostRests = 100

// differential is a client that knows what it is to receive.
type differential struct {
	seed     uint64
	r        *rand.Rand
	errand   *errand
	received int
}

func newDifferential(seed uint64) *differential {
	d := &differential{seed: seed, r: rand.New(random(seed, 'c'))}
	d.errand = newErrand(d.r)
	return d
}

func (d *differential) run(address, socket string, file []byte) error {
	want, err := d.errand.want(file)
	if err != nil {
		return err
	}
	network := "tcp"
	dialer := &net.Dialer{Timeout: limit}
	switch d.r.IntN(3) {
	case 0:
		network, address = "unix", socket
	case 1:
		dialer.Control = func(_, _ string, raw syscall.RawConn) (err error) {
			return errors.Join(raw.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 16<<10)
			}), err)
		}
	}
	conn, err := dialer.Dial(network, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(3 * limit)); err != nil {
		return err
	}
	sender, reader := rand.New(random(d.seed, 's')), rand.New(random(d.seed, 'r'))
	sent := make(chan error, 1)
	go func() { sent <- d.send(conn, sender) }()
	err = d.receive(conn, reader, want)
	if err != nil {
		_ = conn.Close() // so that sending ends too
	}
	return errors.Join(err, <-sent)
}

// send sends all orders in fragments, some after a while.
func (d *differential) send(conn net.Conn, r *rand.Rand) error {
	in := d.errand.in
	if d.errand.ending == endReset {
		in = in[:r.IntN(len(in)+1)]
	}
	most, rests := 1<<(3+r.IntN(15)), r.IntN(mostRests)
	for len(in) > 0 {
		n := 1 + r.IntN(min(len(in), most))
		if _, err := conn.Write(in[:n]); err != nil {
			if d.mayFail(err) {
				return nil
			}
			return fmt.Errorf("send: %w", err)
		}
		in = in[n:]
		if rests > 0 && r.IntN(10) == 0 {
			rests--
			time.Sleep(time.Duration(r.IntN(5000)) * time.Microsecond) // this is when it moves
		}
	}
	if d.errand.ending == endReset {
		if conn, ok := conn.(*net.TCPConn); ok {
			_ = conn.SetLinger(0) // it may have failed
		}
		return conn.Close()
	}
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil && !d.mayFail(err) {
		return fmt.Errorf("finish: %w", err)
	}
	return nil
}

// mayFail reports whether an error is the end that the errand has.
func (d *differential) mayFail(err error) bool {
	switch d.errand.ending {
	case endReset:
		return true
	case endClose, endAbort:
		return errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ENOTCONN)
	}
	return false
}

// receive wants these bytes, and then the end; of a connection that is reset, the
// beginning of them.
func (d *differential) receive(conn net.Conn, r *rand.Rand, want []byte) error {
	got, rests := make([]byte, 1<<(8+r.IntN(9))), r.IntN(mostRests)
	for {
		n, err := conn.Read(got)
		if n > len(want)-d.received || !bytes.Equal(got[:n], want[d.received:d.received+n]) {
			return fmt.Errorf("byte %d on: got %.200q; want %.200q", d.received, got[:n], want[d.received:])
		}
		d.received += n
		switch {
		case err == nil:
		case d.received == len(want) && err == io.EOF:
			return nil
		case d.errand.ending == endReset, d.errand.ending == endAbort && (err == io.EOF || d.mayFail(err)): // of a Unix socket it is no reset
			return nil
		default:
			return fmt.Errorf("after %d bytes of %d: %w", d.received, len(want), err)
		}
		if rests > 0 && r.IntN(8) == 0 {
			rests--
			time.Sleep(time.Duration(r.IntN(5000)) * time.Microsecond) // while output waits
		}
	}
}

// unrest has connections move.
type unrest struct {
	s    *server
	r    *rand.Rand
	acts []act
	each func() // called behind each; nil: none
	done int
}

// act does something to one of the workers that are ready.
type act func(u *unrest, w master.WorkerStatus) error

func move(u *unrest, w master.WorkerStatus) error {
	return post(u.s.control, "/v1/move", map[string]int{"from": w.Slot}, &struct{}{})
}

func rescale(u *unrest, _ master.WorkerStatus) error {
	return post(u.s.control, "/v1/scale", map[string]int{"to": 1 + u.r.IntN(4)}, &struct{}{})
}

func terminate(_ *unrest, w master.WorkerStatus) error { return unix.Kill(w.PID, unix.SIGTERM) }

func reload(u *unrest, _ master.WorkerStatus) error {
	return post(u.s.control, "/v1/reload", struct{}{}, &struct{}{})
}

// goOn does so at random until it is done. What is refused, because the worker has
// gone or there is no other, is tried anew.
func (u *unrest) goOn(done chan struct{}) {
	pace := time.NewTicker(5 * time.Millisecond) // so as not to take the time from the clients
	defer pace.Stop()
	for {
		select {
		case <-done:
			return
		case <-pace.C:
		}
		status, err := u.s.status()
		if err != nil {
			continue
		}
		ready := slices.DeleteFunc(status.Workers, func(w master.WorkerStatus) bool { return w.State != "ready" })
		if len(ready) == 0 || len(u.acts) > 1 && (lingering(status) > 1 || len(ready) < len(status.Workers)) {
			continue // one more change could cut short those that finish
		}
		if u.acts[u.r.IntN(len(u.acts))](u, ready[u.r.IntN(len(ready))]) == nil {
			u.done++
			if u.each != nil {
				u.each()
			}
		}
	}
}

// atRest has the server want as many workers as at the start. The last act may be under way
// still, and refuse it: a worker that was told to end is about to.
func (u *unrest) atRest() {
	u.s.until("it is scaled", func(master.Status) bool {
		return post(u.s.control, "/v1/scale", map[string]int{"to": u.s.workers}, &struct{}{}) == nil
	})
}
