package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

func init() {
	helpers["worker-summing"] = func() {
		worker.Main(worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) { return &summing{}, nil }))
	}
}

// summing is a session with state: each line is answered with its number and a
// checksum of everything received so far.
type summing struct {
	lines uint64
	sum   uint64
}

func (s *summing) Data(c *worker.Conn, in []byte) (n int, err error) {
	for n < len(in) {
		end := strings.IndexByte(string(in[n:]), '\n')
		if end < 0 {
			break
		}
		s.add(in[n : n+end])
		_, err = fmt.Fprintf(c, "%d %d\n", s.lines, s.sum)
		n += end + 1
	}
	return n, err
}

func (s *summing) add(line []byte) {
	s.lines++
	for _, b := range line {
		s.sum = s.sum*31 + uint64(b)
	}
}

func (s *summing) MarshalBinary() ([]byte, error) {
	return fmt.Appendf(nil, "%d %d", s.lines, s.sum), nil
}

func (s *summing) UnmarshalBinary(b []byte) error {
	_, err := fmt.Sscanf(string(b), "%d %d", &s.lines, &s.sum)
	return err
}

// sumUp holds one connection until done is closed, sending lines in pieces
// and checking each answer, and counts those that were exchanged.
func sumUp(address string, done <-chan struct{}, seed uint64, lines *atomic.Uint64) error {
	c, err := connect(address)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	random := rand.New(rand.NewPCG(seed, 1))
	var mine summing
	for {
		select {
		case <-done:
			return c.end()
		default:
		}
		line := strings.Repeat("x", random.IntN(100)) + strconv.FormatUint(random.Uint64(), 36)
		cut := random.IntN(len(line))
		if err := c.send(line[:cut]); err != nil {
			return err
		}
		// The connection is at rest here, in the middle of a line, for a while:
		// this is when most of them move.
		time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
		if err := c.send(line[cut:] + "\n"); err != nil {
			return err
		}
		mine.add([]byte(line))
		got, err := c.in.ReadString('\n')
		if err != nil {
			return fmt.Errorf("line %d: %w", mine.lines, err)
		}
		if want := fmt.Sprintf("%d %d\n", mine.lines, mine.sum); got != want {
			return fmt.Errorf("got %q, want %q", got, want)
		}
		lines.Add(1)
	}
}

// choir is clients that sumUp until told to stop, or until the test ends.
type choir struct {
	stop   sync.Once
	done   chan struct{}
	wait   sync.WaitGroup
	lines  atomic.Uint64
	failed atomic.Uint64
}

func gather(t *testing.T, address string, clients int) *choir {
	return gatherWith(t, address, clients, func(client int, err error) { t.Errorf("client %d: %v", client, err) })
}

// gatherTolerant is gather for a story in which some fail.
func gatherTolerant(t *testing.T, address string, clients int) *choir {
	return gatherWith(t, address, clients, func(int, error) {})
}

func gatherWith(t *testing.T, address string, clients int, failed func(client int, err error)) *choir {
	c := &choir{done: make(chan struct{})}
	t.Cleanup(c.disperse) // if the story did not: who fails after the end of a test ends all others
	for i := range clients {
		c.wait.Go(func() {
			err := sumUp(address, c.done, uint64(i), &c.lines)
			if err != nil {
				c.failed.Add(1)
				failed(i, err)
			}
		})
	}
	return c
}

func (c *choir) disperse() {
	c.stop.Do(func() { close(c.done) })
	c.wait.Wait()
}

// Clients that never leave, with state at the server, while the workers are
// replaced again and again: every byte in order, nothing lost, no old worker left.
func TestReloadsMoveConnections(t *testing.T) {
	clients, reloads := sized(200, 2000), sized(4, 30)
	s := serve(t, "--workers", "2", "--", self(), "worker-summing")
	c := gather(t, s.address, clients)
	s.until("all are there", func(status master.Status) bool { return int(status.Connections.Active) == clients })
	start := time.Now()
	for n := range reloads {
		if got := usher(t, "reload", "--control", s.control); got.code != 0 {
			t.Fatalf("reload %d: %+v", n, got)
		}
		s.until("the old workers are gone", ready(2))
	}
	t.Logf("%d reloads in %v", reloads, time.Since(start).Round(time.Millisecond))
	status := s.until("all are there still", func(status master.Status) bool { return int(status.Connections.Active) == clients })
	c.disperse()
	t.Logf("%d clients, %d lines, %d failed; %+v", clients, c.lines.Load(), c.failed.Load(), status.Connections)
	if status.Connections.Lost != 0 || status.Generation != reloads+1 {
		t.Errorf("generation %d, %d lost; want %d, 0", status.Generation, status.Connections.Lost, reloads+1)
	}
	s.stop()
}

// The same while workers come and go, connections are moved by hand, and the
// master becomes its own new program now and then.
func TestScalingMovesConnections(t *testing.T) {
	clients, steps := sized(100, 1000), sized(30, 200)
	p := install(t)
	s := p.serve("--workers", "2", "--max-workers", "8", "--rebalance", "--recycle-age", "3s", "--", self(), "worker-summing")
	c := gather(t, s.address, clients)
	s.until("all are there", func(status master.Status) bool { return int(status.Connections.Active) == clients })
	random := rand.New(rand.NewPCG(7, 7))
	upgrades := 0
	for step := range steps {
		if step%10 == 9 {
			p.replace()
			s.signal(unix.SIGUSR2)
			upgrades++
		}
		switch random.IntN(4) {
		case 0, 1:
			s.signal([]unix.Signal{unix.SIGUSR1, unix.SIGTTOU}[random.IntN(2)])
		case 2:
			s.signal(unix.SIGHUP)
		case 3:
			status, err := s.status()
			if err != nil {
				t.Fatal(err)
			}
			from := status.Workers[random.IntN(len(status.Workers))].Slot
			usher(t, "move", "--control", s.control, "--from", strconv.Itoa(from), "--count", "10") // it may be leaving: then it is refused
		}
		next := c.lines.Load() + random.Uint64N(uint64(clients))
		until(t, "some clients go on between two steps", func() (bool, string) {
			n := c.lines.Load()
			return n >= next, fmt.Sprint(n)
		})
	}
	if got := usher(t, "upgrade", "--control", s.control); got.code != 0 { // after the last of them, which it may have joined
		t.Errorf("upgrade: %+v", got)
	}
	s.runs(p)
	c.disperse()
	status := s.until("at rest", allReady)
	t.Logf("%d upgrades, %d clients, %d lines, %d failed; %+v", upgrades, clients, c.lines.Load(), c.failed.Load(), status.Connections)
	if status.Connections.Lost != 0 {
		t.Errorf("%d lost, want 0", status.Connections.Lost)
	}
	s.signal(unix.SIGTERM)
	s.ends(0)
}

// A new worker takes its share of the connections that there are.
func TestRebalance(t *testing.T) {
	t.Parallel()
	const clients = 90
	s := serve(t, "--workers", "1", "--rebalance", "--", self(), "worker-summing")
	c := gather(t, s.address, clients)
	s.until("all are there", func(status master.Status) bool { return int(status.Connections.Active) == clients })
	s.signal(unix.SIGUSR1)
	s.signal(unix.SIGTTIN)
	s.until("each of three workers has a third", func(status master.Status) bool {
		for _, w := range status.Workers {
			if w.Connections != clients/3 {
				return false
			}
		}
		return len(status.Workers) == 3
	})
	c.disperse()
	s.signal(unix.SIGTERM)
	s.ends(0)
}

// usher move moves as many as it says to where it says, and refuses what is not
// possible.
func TestMoveCommand(t *testing.T) {
	t.Parallel()
	const clients = 30
	s := serve(t, "--workers", "3", "--", self(), "worker-summing")
	c := gather(t, s.address, clients)
	s.until("all are there", func(status master.Status) bool { return int(status.Connections.Active) == clients })
	got := usher(t, "move", "--control", s.control, "--from", "0", "--to", "2", "--count", "4")
	if got.code != 0 || got.stdout != "moved: 4\ndrained: 0\nstaying: 6\nlost: 0\n" {
		t.Errorf("got %+v, want 4 moved", got)
	}
	s.until("slot 2 has 4 more, slot 1 as many as before", func(status master.Status) bool {
		w := status.Workers
		return w[0].Connections == 6 && w[1].Connections == 10 && w[2].Connections == 14 && w[2].MovedIn == 4 && w[0].MovedOut == 4
	})
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--from", "7"}, "slot 7 has no ready worker"},
		{[]string{"--from", "1", "--to", "1"}, "both slot 1"},
		{[]string{"--from", "1", "--to", "9"}, "slot 9 has no ready worker"},
		{[]string{"--from", "1", "--count", "0"}, "at least 1"},
	} {
		got := usher(t, append([]string{"move", "--control", s.control}, test.args...)...)
		if got.code != exitFailed || !strings.Contains(got.stderr, test.want) {
			t.Errorf("%v: got %+v, want it to say %q", test.args, got, test.want)
		}
	}
	if got := s.ask("scale", "1"); got.code != 0 {
		t.Fatalf("scale 1: %+v", got)
	}
	alone := s.until("one is left", ready(1)).Workers[0].Slot
	if got := s.ask("move", "--from", strconv.Itoa(alone)); got.code != exitFailed || !strings.Contains(got.stderr, "no other ready worker to move connections to; usher scale +1 starts one") {
		t.Errorf("got %+v, want it to say how to start another", got)
	}
	if got := s.ask("scale", "3"); got.code != 0 {
		t.Fatalf("scale 3: %+v", got)
	}
	c.disperse()
	s.stop()
}
