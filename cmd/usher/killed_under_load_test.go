package main

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// Workers are killed while connections keep coming: those fail that a dead
// worker had received, no others, and the master counts just these as lost.
// Every other worker stands still before it is killed, so that some wait in
// its queue.
func TestKilledUnderLoad(t *testing.T) {
	const between = 50 // connections at least from kill to kill
	kills := sized(4, 20)
	s := serve(t, "--app", "lines", "--workers", "4")
	l := startLoad(s.address, 5*time.Millisecond) // 200 per second
	t.Cleanup(func() { l.stop() })                // if the story did not
	for n := range kills {
		until(t, "connections have come since the last kill", func() (bool, string) {
			arrived := l.arrived.Load()
			return arrived >= uint64(n+1)*between, strconv.FormatUint(arrived, 10)
		})
		killOne(t, s, l, n%4, n%2 == 1)
	}
	s.until("all workers are ready again", ready(4))
	failures := l.stop()

	s.atRest()
	status, err := s.status()
	if err != nil {
		t.Fatal(err)
	}
	counts := status.Connections
	t.Logf("%d kills: %d connections, %d failed; %+v", kills, l.arrived.Load(), len(failures), counts)
	if counts.Lost != uint64(len(failures)) || counts.Accepted != l.arrived.Load() || counts.Refused != 0 {
		t.Errorf("%+v; want %d accepted, none refused, and lost those that failed, %d:\n%s",
			counts, l.arrived.Load(), len(failures), strings.Join(failures, "\n"))
	}
	if len(failures) < kills {
		t.Errorf("%d connections failed in %d kills: the workers had nothing to lose", len(failures), kills)
	}
	s.stop()
}

// killOne kills the worker in a slot while it has connections, and returns when
// the master knows.
func killOne(t *testing.T, s *server, l *arrivals, slot int, frozen bool) {
	t.Helper()
	l.orderly.Lock() // nobody is just leaving: see visit
	defer l.orderly.Unlock()
	victim := s.until("the worker has connections, and all who have left are counted", func(status master.Status) bool {
		w := status.Workers[slot]
		return w.State == "ready" && w.Connections > 0 && status.Connections.Closed == l.left.Load()
	}).Workers[slot].PID
	if frozen {
		freeze(t, victim)
		s.until("some wait in its queue", func(status master.Status) bool { return status.Workers[slot].Queued > 2 })
	}
	kill(t, victim, unix.SIGKILL)
	s.until("its end is known", func(status master.Status) bool { return status.Workers[slot].PID != victim })
}

// arrivals are connections that arrive at an even pace.
type arrivals struct {
	address string
	orderly sync.RWMutex  // read-locked by clients while they leave
	left    atomic.Uint64 // clients that have left in order
	arrived atomic.Uint64
	quit    chan struct{}
	stopped sync.Once
	ended   chan struct{}

	mu       sync.Mutex
	failures []string
}

func startLoad(address string, pace time.Duration) *arrivals {
	l := &arrivals{address: address, quit: make(chan struct{}), ended: make(chan struct{})}
	go l.run(pace)
	return l
}

func (l *arrivals) run(pace time.Duration) {
	defer close(l.ended)
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	var clients sync.WaitGroup
	defer clients.Wait()
	for {
		select {
		case <-ticker.C:
		case <-l.quit:
			return
		}
		clients.Go(func() {
			n := l.arrived.Add(1)
			if err := l.visit(n); err != nil {
				l.mu.Lock()
				l.failures = append(l.failures, fmt.Sprintf("client %d: %v", n, err))
				l.mu.Unlock()
			}
		})
	}
}

// stop ends the load and returns what failed.
func (l *arrivals) stop() []string {
	l.stopped.Do(func() { close(l.quit) })
	<-l.ended
	return l.failures
}

// visit is one client: it exchanges, stays a moment, exchanges again and leaves.
//
// A worker's death is plain to see from an exchange, but from leaving it is
// not: the kernel closes a dead worker's connections like a living one does.
// So that every loss is seen, the last exchange and the end are one, in which
// no worker is killed.
func (l *arrivals) visit(n uint64) error {
	c, err := connect(l.address)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	if _, err := c.exchange("hello"); err != nil {
		return err
	}
	<-time.After(time.Duration(n%100) * time.Millisecond) // the moment
	l.orderly.RLock()
	defer l.orderly.RUnlock()
	if _, err := c.exchange("again"); err != nil {
		return err
	}
	if err := c.end(); err != nil {
		return err
	}
	l.left.Add(1)
	return nil
}
