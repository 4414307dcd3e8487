package web

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/workertest"
)

// ways are the two ways to run a handler.
var ways = map[string][]Option{"on goroutines": nil, "Inline": {Inline()}}

func TestTenThousandPipelinedRequests(t *testing.T) {
	const requests = 10_000
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("hello")) })
	for name, opts := range ways {
		t.Run(name, func(t *testing.T) {
			all := newServed(t, hello, opts...).answer([]byte(strings.Repeat(aGET+"\r\n", requests)))
			if n := strings.Count(all, "\r\n\r\nhello"); n != requests {
				t.Errorf("%d answers to %d requests", n, requests)
			}
		})
	}
}

// partOfAHead is what slow clients send.
const partOfAHead = "GET / HTTP/1.1\r\nHost"

// TestSlowHeads: 1,000 clients that have sent a part of a head are closed when their time
// is over, also those that go on sending a byte now and then. Meanwhile they have no
// goroutines, and others are served.
func TestSlowHeads(t *testing.T) {
	for name, opts := range ways {
		t.Run(name, func(t *testing.T) {
			const clients, dribbling = 1000, 50
			server := newServed(t, http.HandlerFunc(described), append(opts, ReadHeaderTimeout(time.Second))...)
			before := runtime.NumGoroutine()
			var slow []net.Conn
			for range clients {
				slow = append(slow, server.sends(partOfAHead))
			}
			if got := parseAnswers(server.answer([]byte(aGET + "\r\n"))).statuses; got != "200" {
				t.Errorf("another client is answered %q", got)
			}
			if more := runtime.NumGoroutine() - before; more > clients/10 {
				t.Errorf("%d clients that are waited for have %d goroutines", clients, more)
			}
			var all sync.WaitGroup
			for _, c := range slow[:dribbling] {
				all.Go(func() {
					for range time.Tick(10 * time.Millisecond) {
						if _, err := c.Write([]byte("a")); err != nil {
							break
						}
					}
				})
			}
			for _, c := range slow {
				endsUnanswered(t, c)
			}
			all.Wait()
		})
	}
}

// sends returns a connection on which some bytes were sent, which ends with the test.
func (s *served) sends(text string) net.Conn {
	s.t.Helper()
	c, err := net.Dial(s.network, s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() }) // the test may have
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, text); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// endsUnanswered waits for the end of a connection, ahead of which nothing is to come.
func endsUnanswered(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%d bytes, %v: want an end without an answer", n, err)
	}
}

// TestLargeHeads: who sends heads of 2 MiB, whatever they are full of, is told that they are
// too large when the bound is there, and by many at a time.
func TestLargeHeads(t *testing.T) {
	const size = 2 << 20
	heads := map[string]string{
		"a field":         aGET + "A: " + strings.Repeat("b", size),
		"many fields":     aGET + strings.Repeat("A: b\r\n", size/6),
		"a field's name":  aGET + strings.Repeat("b", size),
		"a target":        "GET /" + strings.Repeat("b", size),
		"a method":        strings.Repeat("B", size),
		"a field in many": aGET + "A: b\r\n" + strings.Repeat(" b\r\n", size/4),
	}
	for name, opts := range ways {
		server := newServed(t, http.HandlerFunc(described), opts...)
		for what, head := range heads {
			t.Run(name+", "+what, func(t *testing.T) {
				var all sync.WaitGroup
				for range 4 {
					all.Go(func() {
						if got := parseAnswers(server.answer(pieces([]byte(head), 10_000)...)).statuses; got != "431" {
							t.Errorf("answered %q", got)
						}
					})
				}
				all.Wait()
			})
		}
	}
}

// TestHeadsBoundMemory: 50 MiB of heads that never end take no more of a worker than
// WithMemory says: those who hold the most are closed, and others are served.
func TestHeadsBoundMemory(t *testing.T) {
	const clients, each, bound = 100, 512 << 10, 4 << 20
	for name, opts := range ways {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
			if err != nil {
				t.Fatal(err)
			}
			workertest.Serve(t, l, Handler(http.HandlerFunc(described), opts...), worker.WithMemory(bound))
			server := &served{t, "unix", l.Addr().String()}
			before := heap()
			head := strings.Repeat("b", each)
			for range clients {
				_, _ = io.WriteString(server.sends(partOfAHead), head) // it may be closed meanwhile
			}
			if got := parseAnswers(server.answer([]byte(aGET + "\r\n"))).statuses; got != "200" {
				t.Errorf("another client is answered %q", got)
			}
			// Twice the bound, what is kept for the next connections, and margin.
			if took := heap() - before; took > 2*bound+6<<20+8<<20 {
				t.Errorf("%d clients take %d MiB, of a bound of %d MiB", clients, took>>20, bound>>20)
			}
		})
	}
}

// heap returns how many bytes are in use.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
