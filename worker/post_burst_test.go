package worker_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// burst is a loop that stands still while functions are posted to it.
type burst struct {
	*rig
	conns   []*worker.Conn
	clients []*client
	release chan struct{}
	called  int // the loop's
	work    func()
}

// newBurst starts a worker with so many connections and has its loop wait in the
// first function. answer is Data of all.
func newBurst(t *testing.T, conns int, answer func(b *burst, c *worker.Conn, in []byte) (int, error)) *burst {
	b := &burst{release: make(chan struct{}), work: func() {}}
	opened := make(chan *worker.Conn, conns)
	b.rig = newRig(t, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		opened <- c
		return worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) { return answer(b, c, in) }), nil
	}))
	for range conns {
		b.clients = append(b.clients, b.connect())
		b.conns = append(b.conns, await(t, opened))
	}
	stands := make(chan struct{})
	b.conns[0].Post(func(*worker.Conn) {
		close(stands)
		<-b.release
	})
	await(t, stands)
	return b
}

// post posts to every connection as often as it is accepted, and returns how often
// that was.
func (b *burst) post() (accepted int) {
	for _, c := range b.conns {
		for c.Post(func(*worker.Conn) { b.called++; b.work() }) {
			accepted++
		}
	}
	return accepted
}

func (b *burst) end() {
	for _, c := range b.clients {
		check(b.t, c.Close())
	}
}

// A client is not kept waiting until all that was posted is done.
func TestPostsDoNotKeepClientsWaiting(t *testing.T) {
	before := make(chan int, 1)
	b := newBurst(t, 1, func(b *burst, c *worker.Conn, in []byte) (int, error) {
		before <- b.called
		return c.Write(in)
	})
	posted := b.post()
	b.clients[0].send("x")
	close(b.release)
	b.clients[0].expect("x")
	if n := await(t, before); n > 1000 {
		t.Errorf("the client was answered after %d of %d functions", n, posted)
	}
	b.end()
}

// Nor is a timer.
func TestPostsDoNotKeepTimersWaiting(t *testing.T) {
	b := newBurst(t, 1, nil)
	b.work = func() { // all together, much more than a timer may be late by
		for range 20 {
			unix.Getppid()
		}
	}
	before := make(chan int, 1)
	b.conns[0].Post(func(c *worker.Conn) { c.After(0, func() { before <- b.called }) })
	posted := b.post()
	close(b.release)
	if n := await(t, before); n == posted {
		t.Errorf("the timer ran after all of %d functions", posted)
	}
	b.end()
}

// Nor is the master.
func TestPostsDoNotKeepTheMasterWaiting(t *testing.T) {
	b := newBurst(t, 1, nil)
	posted := b.post()
	b.say(ipc.Stop{})
	b.until(func() bool { return b.exits.Load() > 0 }) // it waits, and the loop stands still
	close(b.release)
	b.wait()
	if b.called > 1000 {
		t.Errorf("stopped after %d of %d functions", b.called, posted)
	}
	b.end()
}

// What waits for all connections together has a bound, and the memory for it is
// given back.
func TestPostsHaveABoundForTheWorker(t *testing.T) {
	const conns = 24
	done := make(chan int, 1)
	b := newBurst(t, conns, func(b *burst, c *worker.Conn, in []byte) (int, error) { return c.Write(in) })
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	posted := b.post()
	if posted < 1<<20-conns || posted > 1<<20 {
		t.Errorf("%d functions wait, want 1,048,576 or so", posted)
	}
	close(b.release)
	for asked := false; !asked; runtime.Gosched() { // until there is room again
		asked = b.conns[0].Post(func(*worker.Conn) { done <- b.called })
	}
	await(t, done)
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		asked := b.conns[conns-1].Post(func(*worker.Conn) { done <- b.called })
		if asked && await(t, done) == posted {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not all of %d were called", posted)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 4<<20 {
		t.Errorf("%d bytes of memory are kept for the next time", kept)
	}
	b.clients[0].send("x")
	b.clients[0].expect("x")
	b.end()
}

// However messages, turns and pages fall together, each is acted on once and in order.
func TestPostsKeepTheirOrder(t *testing.T) {
	b := newBurst(t, 1, nil)
	close(b.release)
	const rounds = 300
	next := 0
	done := make(chan struct{})
	for round := range rounds {
		for i := range round {
			n := round*rounds + i
			for !b.conns[0].Post(func(c *worker.Conn) {
				if n < next {
					t.Errorf("%d after %d", n, next)
				}
				next = n + 1
				b.called++
			}) {
				runtime.Gosched()
			}
		}
		runtime.Gosched()
	}
	for !b.conns[0].Post(func(*worker.Conn) { close(done) }) {
		runtime.Gosched()
	}
	await(t, done)
	if want := rounds * (rounds - 1) / 2; b.called != want {
		t.Errorf("%d of %d were called", b.called, want)
	}
	b.end()
}
