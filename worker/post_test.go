package worker_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/usher-go/usher/internal/forweb"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
)

// opened starts a worker that echoes, and a connection, as another goroutine may
// have it.
func opened(t testing.TB) (*rig, *client, *worker.Conn, *recorder) {
	conns := make(chan *worker.Conn, 1)
	h := newRecorder(echo)
	s := newRig(t, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		conns <- c
		return h, nil
	}))
	client := s.connect()
	return s, client, await(t, conns), h
}

func TestPost(t *testing.T) {
	_, client, c, h := opened(t)
	const posters, each = 8, 1000
	var all sync.WaitGroup
	for p := range posters {
		all.Go(func() {
			for i := range each {
				if !c.Post(func(c *worker.Conn) { fmt.Fprintf(c, "%d %03d\n", p, i) }) {
					t.Error("refused while open")
				}
			}
		})
	}
	lines := make([]byte, posters*each*len("0 000\n"))
	all.Wait()
	_, err := io.ReadFull(client, lines)
	check(t, err)
	next := make(map[byte]int)
	for line := range strings.Lines(string(lines)) {
		if want := fmt.Sprintf("%c %03d\n", line[0], next[line[0]]); line != want {
			t.Fatalf("got %q, want %q: out of order", line, want)
		}
		next[line[0]]++
	}
	check(t, client.Close())
	h.expectClose(t, nil)
	for range 3 {
		if c.Post(func(*worker.Conn) { t.Error("called after the end") }) {
			t.Error("accepted after the end")
		}
	}
}

func TestPostWhileClosing(t *testing.T) {
	_, client, c, h := opened(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for c.Post(func(c *worker.Conn) {
				if _, err := c.Write([]byte("x")); errors.Is(err, worker.ErrClosed) {
					t.Error("called after Close")
				}
			}) {
				runtime.Gosched()
			}
		})
	}
	c.Post(func(c *worker.Conn) { check(t, c.Close()) })
	_, err := io.ReadAll(client)
	check(t, err)
	check(t, client.Close())
	h.expectClose(t, nil)
	all.Wait()
}

func TestPostPanics(t *testing.T) {
	_, client, c, h := opened(t)
	c.Post(func(*worker.Conn) { panic("a bug") })
	client.expectEnd()
	check(t, client.Close())
	h.expectClose(t, worker.ErrPanic)
}

// A loop that does not get to it is not flooded.
func TestPostIsBounded(t *testing.T) {
	_, client, c, h := opened(t)
	release := make(chan struct{})
	c.Post(func(*worker.Conn) { <-release })
	n := 0
	for c.Post(func(*worker.Conn) {}) {
		n++
	}
	if n < 65_000 || n > 66_000 {
		t.Errorf("%d functions wait, want 65,536 or so", n)
	}
	close(release)
	client.send("x")
	client.expect("x")
	if !c.Post(func(c *worker.Conn) { check(t, c.Close()) }) {
		t.Error("refused after the others were called")
	}
	client.expectEnd()
	check(t, client.Close())
	h.expectClose(t, nil)
}

func TestPostAfterTheWorker(t *testing.T) {
	s, _, c, h := opened(t)
	s.tell(ipc.Stop{})
	s.wait()
	h.expectClose(t, worker.ErrStopped)
	if c.Post(func(*worker.Conn) {}) {
		t.Error("accepted after the worker's end")
	}
}

// Input that comes during work waits, whole and in order, as does the end of it.
func TestGo(t *testing.T) {
	release := make(chan struct{})
	started := make(chan struct{}, 100)
	closed := make(chan error, 1)
	s := newRig(t, worker.OpenFunc(func(*worker.Conn) (worker.Session, error) {
		return &upperCaser{release: release, started: started, closed: closed}, nil
	}))
	c := s.connect()
	c.send("one\ntwo\nthr")
	await(t, started)
	c.send("ee\nfour\n")
	c.closeWrite()
	other := s.connect() // is not held up
	other.send("\n")
	await(t, started)
	close(release)
	c.expect("ONE\nTWO\nTHREE\nFOUR\n")
	c.expectEnd()
	other.expect("\n")
	check(t, other.Close())
	expectClose(t, closed, nil)
}

// upperCaser answers each line in capitals, which it takes its time to find.
type upperCaser struct {
	release, started chan struct{}
	closed           chan error
	busy             bool
}

func (u *upperCaser) Data(c *worker.Conn, in []byte) (int, error) {
	if u.busy {
		return 0, errors.New("input while work is outstanding")
	}
	line, _, ok := strings.Cut(string(in), "\n")
	if !ok {
		return 0, nil
	}
	u.busy = true
	var answer string
	c.Go(func() {
		u.started <- struct{}{}
		<-u.release
		answer = strings.ToUpper(line) + "\n"
	}, func() {
		u.busy = false
		_, _ = c.Write([]byte(answer)) // the client waits for it
	})
	return len(line) + 1, nil
}

func (u *upperCaser) Close(_ *worker.Conn, err error) {
	select {
	case u.closed <- err:
	default:
	}
}

// However a connection ends while work is outstanding: then is not called.
func TestGoAndTheEnd(t *testing.T) {
	tests := []struct {
		name string
		work func()
		end  func(*client, *worker.Conn)
		want error
	}{
		{"close", func() {}, func(_ *client, c *worker.Conn) { check(t, c.Close()) }, nil},
		{"abort", func() {}, func(_ *client, c *worker.Conn) { check(t, c.Abort()) }, worker.ErrAborted},
		{"panic in work", func() { panic("a bug") }, func(*client, *worker.Conn) {}, worker.ErrPanic},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, client, c, h := opened(t)
			release, ended := make(chan struct{}), make(chan struct{})
			c.Post(func(c *worker.Conn) {
				c.Go(func() {
					defer close(ended)
					<-release
					test.work()
				}, func() { t.Error("then was called") })
				test.end(client, c)
				if test.want != worker.ErrPanic {
					c.Go(func() { t.Error("work of a closed connection") }, nil)
				}
			})
			close(release)
			<-ended
			_, _ = io.ReadAll(client) // a reset, or the end
			check(t, client.Close())
			h.expectClose(t, test.want)
		})
	}
}

func TestGoThenPanics(t *testing.T) {
	_, client, c, h := opened(t)
	c.Post(func(c *worker.Conn) { c.Go(func() {}, func() { panic("a bug") }) })
	client.expectEnd()
	check(t, client.Close())
	h.expectClose(t, worker.ErrPanic)
}

// More work than may run at a time waits, and is done.
func TestGoIsBounded(t *testing.T) {
	_, client, c, h := opened(t)
	const jobs = 1000
	var mu sync.Mutex
	running, most, done := 0, 0, 0
	started := make(chan struct{})
	c.Post(func(c *worker.Conn) {
		for range jobs {
			c.Go(func() {
				mu.Lock()
				running++
				most = max(most, running)
				mu.Unlock()
				runtime.Gosched()
				mu.Lock()
				running--
				mu.Unlock()
			}, func() {
				if done++; done == jobs {
					_, _ = c.Write([]byte("done"))
				}
			})
		}
		close(started)
	})
	await(t, started)
	client.send("later")
	client.expect("donelater")
	mu.Lock()
	defer mu.Unlock()
	if most > 256 {
		t.Errorf("%d ran at a time", most)
	}
	check(t, client.Close())
	h.expectClose(t, nil)
}

// BenchmarkPost is a function's way from another goroutine to the loop.
func BenchmarkPost(b *testing.B) {
	_, client, c, _ := opened(b)
	var done sync.WaitGroup
	f := func(*worker.Conn) { done.Done() }
	b.Run("One", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			done.Add(1)
			c.Post(f)
			done.Wait()
		}
	})
	b.Run("Many", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			done.Add(1)
			for !c.Post(f) {
				runtime.Gosched()
			}
		}
		done.Wait()
	})
	b.Run("Go", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			done.Add(1)
			c.Post(func(c *worker.Conn) { c.Go(func() {}, done.Done) })
			done.Wait()
		}
	})
	check(b, client.Close())
}

// A connection with work outstanding stays until it is done, and then moves; which
// of the two workers serves the input that has waited is open.
func TestGoAndMove(t *testing.T) {
	release, started := make(chan struct{}), make(chan struct{}, 1)
	working := worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		if string(in) != "x" {
			return c.Write(in)
		}
		c.Go(func() {
			started <- struct{}{}
			<-release
		}, func() { _, _ = io.WriteString(c, "done ") }) // the client waits for it
		return len(in), nil
	})
	old, next := newRig(t, working), newRig(t, worker.DataFunc(echo))
	client, idle := old.connect(), old.connect()
	client.send("x")
	await(t, started)
	client.send("waits")
	old.tell(ipc.Drain{Mode: ipc.DrainMove, DeadlineMS: patience.Milliseconds()})
	old.route(next, 1)
	idle.send("moved")
	idle.expect("moved")
	close(release)
	old.route(next, 1)
	client.expect("done waits")
	old.wait()
	for _, c := range []io.Closer{client, idle} {
		check(t, c.Close())
	}
}

// What package web puts is taken, in order, whatever else waits, until the connection is
// closed.
func TestPutWhateverWaits(t *testing.T) {
	_, client, c, h := opened(t)
	stands, goOn := make(chan bool), make(chan bool)
	c.Post(func(*worker.Conn) { close(stands); <-goOn })
	await(t, stands)
	for c.Post(func(*worker.Conn) {}) {
	}
	for range 3 {
		if !forweb.Of(c).Put(func(c *worker.Conn) { _, _ = c.Write([]byte("put")) }) { // expected below
			t.Error("refused")
		}
	}
	close(goOn)
	client.expect("putputput")
	if !c.Post(func(c *worker.Conn) { check(t, c.Close()) }) {
		t.Error("there is no room again")
	}
	client.expectEnd()
	check(t, client.Close())
	h.expectClose(t, nil)
	if forweb.Of(c).Put(func(*worker.Conn) { t.Error("called after the end") }) {
		t.Error("accepted after the end")
	}
}
