package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-go/usher/worker"
)

// busy is clients that echo 64 bytes every 10 ms, or as often as they get an
// answer, and take the time of each. They share one loop, so that they leave the
// machine to the server.
type busy struct {
	t      *testing.T
	warmed chan struct{} // closed when every client has echoed some
	ended  chan struct{} // closed when they have closed
	ending atomic.Bool

	// The loop's:
	cold  int             // clients that have not echoed so often
	times []time.Duration // of the echoes since
}

const (
	busyPace  = 10 * time.Millisecond
	busyTimes = 10 // echoes of a client that is warm
)

var busyMessage = []byte(strings.Repeat("x", 63) + "\n")

func keepBusy(t *testing.T, address string, clients int) *busy {
	b := &busy{t: t, warmed: make(chan struct{}), ended: make(chan struct{}), cold: clients}
	if clients == 0 {
		close(b.warmed)
		close(b.ended)
		return b
	}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(func() { // of a test that failed they are there still
		stop()
		<-b.ended
	})
	go func() {
		defer close(b.ended)
		to := worker.Destination{Remote: netip.MustParseAddrPort(address)}
		err := worker.RunClient(ctx, func(d *worker.Dialer) error {
			for i := range clients {
				session := worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
					client := &busyClient{busy: b, conn: c, number: i}
					c.After(busyPace*time.Duration(i)/time.Duration(clients), client.send) // they do not march in step
					return client, nil
				})
				d.Dial(to, session, func(err error) { t.Errorf("busy client %d: %v", i, err) })
			}
			return nil
		})
		if err != nil {
			t.Errorf("busy clients: %v", err)
		}
	}()
	return b
}

// busyClient is one of them.
type busyClient struct {
	busy   *busy
	conn   *worker.Conn
	number int
	sent   time.Time
	laps   int
}

func (c *busyClient) send() {
	if c.busy.ending.Load() {
		c.conn.Close()
		return
	}
	c.sent = time.Now()
	if _, err := c.conn.Write(busyMessage); err != nil {
		c.busy.t.Errorf("busy client %d: %v", c.number, err)
	}
}

func (c *busyClient) Data(_ *worker.Conn, in []byte) (int, error) {
	if len(in) < len(busyMessage) {
		return 0, nil
	}
	if string(in) != string(busyMessage) {
		return 0, fmt.Errorf("busy client %d: echo %q", c.number, in)
	}
	took := time.Since(c.sent)
	if c.laps++; c.laps == busyTimes {
		if c.busy.cold--; c.busy.cold == 0 {
			close(c.busy.warmed)
		}
	}
	if c.busy.cold == 0 {
		c.busy.times = append(c.busy.times, took)
	}
	c.conn.After(busyPace-took, c.send)
	return len(in), nil
}

func (c *busyClient) Close(_ *worker.Conn, err error) {
	if err != nil || !c.busy.ending.Load() {
		c.busy.t.Errorf("busy client %d: closed: %v", c.number, err)
	}
}

// warm waits until every client has echoed some. Those do not count.
func (b *busy) warm() {
	select {
	case <-b.warmed:
	case <-time.After(limit):
		b.t.Fatalf("the busy clients are not warm within %v", limit)
	}
}

// end has the clients close, and waits for it.
func (b *busy) end() {
	b.ending.Store(true)
	select {
	case <-b.ended:
	case <-time.After(limit):
		b.t.Fatalf("the busy clients have not ended within %v", limit)
	}
}

// String tells of the times, after end.
func (b *busy) String() string {
	slices.Sort(b.times)
	at := func(share float64) time.Duration {
		return b.times[int(share*float64(len(b.times)-1))].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("%d round trips while moving; p50 %v, p99 %v, longest %v", len(b.times), at(0.5), at(0.99), at(1))
}
