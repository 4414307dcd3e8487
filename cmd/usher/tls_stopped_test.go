package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
)

// Beside many clients that stop within their ClientHello, and as many that stop after
// ServerHello, those who are there are served, and new ones come in; the stopped ones are
// closed when their time is over. How long the others take beside them and without is for
// reading, at full size.
func TestStoppedHandshakes(t *testing.T) {
	t.Parallel()
	stopped, busy, visits, timeout := sized(100, 1000), sized(10, 100), sized(20, 500), sized(5*time.Second, time.Minute)
	ca, flags := secureFlags(t)
	s := serve(t, append(flags, "--workers", "2", "--tls-handshake-timeout", timeout.String(), "--app", "lines")...)
	address := s.until("all are ready", ready(2)).Listeners[1].Address // the first is plain
	config := trust(t, ca)
	config.ServerName = "both.example"

	alone := measureTLS(t, address, config, busy, visits)
	hello := clientHello(t, config)
	var conns []net.Conn
	for _, part := range [][]byte{hello[:len(hello)/2], hello} {
		for range stopped {
			conns = append(conns, stopAfter(t, address, part, len(part) == len(hello)))
		}
	}
	start := time.Now()
	s.until("all the others have left", func(status master.Status) bool { return int(status.Connections.Active) <= len(conns) })
	beside := measureTLS(t, address, config, busy, visits)
	t.Logf("%d busy clients and %d new ones, alone: %v; beside twice %d that have stopped: %v", busy, visits, alone, stopped, beside)
	for i, conn := range conns {
		_ = conn.SetReadDeadline(time.Now().Add(timeout + patience)) // a socket has deadlines
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("the stopped client %d is not closed after %v", i, time.Since(start))
		}
		_ = conn.Close() // it has ended
	}
	status := s.until("all have left", func(status master.Status) bool { return status.Connections.Active == 0 })
	if got, want := status.Counters["handshakes"], uint64(2*(busy+visits)); got != want || status.Counters["handshakes_refused"] != uint64(len(conns)) {
		t.Errorf("%v, want %d handshakes, and %d refused", status.Counters, want, len(conns))
	}
	s.stop()
}

// stopAfter connects a client that sends so much, and nothing more; one that is answered has
// got some of that.
func stopAfter(t *testing.T, address string, hello []byte, answered bool) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // it may have ended
	_, err = conn.Write(hello)
	if answered && err == nil {
		_ = conn.SetReadDeadline(time.Now().Add(patience)) // a socket has deadlines
		_, err = io.ReadFull(conn, make([]byte, 1))
	}
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// taken are the times of what was done again and again.
type taken struct {
	mu    sync.Mutex
	times []time.Duration
}

func (n *taken) add(since time.Time) {
	took := time.Since(since)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.times = append(n.times, took)
}

func (n *taken) String() string {
	slices.Sort(n.times)
	at := func(share float64) time.Duration {
		return n.times[int(share*float64(len(n.times)-1))].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("p50 %v, p99 %v", at(0.5), at(0.99))
}

// secureTimes are those of exchanges of busy clients, and of new ones until their first.
type secureTimes struct{ exchanges, arrivals taken }

func (m *secureTimes) String() string {
	return fmt.Sprintf("an exchange %v, a new client %v", &m.exchanges, &m.arrivals)
}

// measureTLS has busy clients exchange lines while new ones come and go, one at a time. All
// must be served.
func measureTLS(t *testing.T, address string, config *tls.Config, busy, visits int) *secureTimes {
	t.Helper()
	m := new(secureTimes)
	done := make(chan struct{})
	var clients sync.WaitGroup
	defer clients.Wait()
	defer close(done)
	for range busy {
		v, err := visitorVoice(address, config)
		if err != nil {
			t.Fatal(err)
		}
		clients.Go(func() {
			pace := time.NewTicker(10 * time.Millisecond)
			defer pace.Stop()
			for {
				start := time.Now()
				if err := v.who(); err != nil {
					t.Errorf("a busy client: %v", err)
					return
				}
				m.exchanges.add(start)
				select {
				case <-done:
					if err := v.leave(); err != nil {
						t.Errorf("a busy client leaves: %v", err)
					}
					return
				case <-pace.C:
				}
			}
		})
	}
	for range visits {
		start := time.Now()
		v, err := visitorVoice(address, config)
		if err == nil {
			err = v.who()
			m.arrivals.add(start)
			err = errors.Join(err, v.leave())
		}
		if err != nil {
			t.Errorf("a new client: %v", err)
		}
	}
	return m
}

// visitorVoice connects a client of the app lines.
func visitorVoice(address string, config *tls.Config) (*voice, error) {
	wire, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	return voiceOf(tls.Client(wire, config), time.Millisecond)
}

// who asks the app lines.
func (v *voice) who() error {
	if err := v.say("who\n"); err != nil {
		return err
	}
	_, err := v.in.ReadString('\n')
	return err
}
