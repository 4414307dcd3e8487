package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
)

// producerOutput is the producing worker's bound for the output of a connection.
const producerOutput = 1 << 20

func init() {
	helpers["worker-producing"] = func() {
		worker.Main(worker.OpenFunc(func(*worker.Conn) (worker.Session, error) { return &producing{}, nil }),
			worker.WithMaxOutput(producerOutput))
	}
}

// producing is a session that answers a line with a number by so many bytes, as
// fast as its peer reads them. Other lines come back.
type producing struct{ left int }

var produce = bytes.Repeat([]byte("0123456789abcdef"), 4<<10) // 64 KiB

func (p *producing) Data(c *worker.Conn, in []byte) (int, error) {
	end := bytes.LastIndexByte(in, '\n') + 1
	n, err := strconv.Atoi(strings.TrimSpace(string(in[:end])))
	if err != nil {
		_, err := c.Write(in[:end])
		return end, err
	}
	p.left = n
	return end, p.more(c)
}

// more writes until output is above the high-water mark. Low says when to go on.
func (p *producing) more(c *worker.Conn) error {
	for p.left > 0 && c.Flowing() {
		n, err := c.Write(produce[:min(p.left, len(produce))])
		if err != nil {
			return err
		}
		p.left -= n
	}
	return nil
}

func (p *producing) Low(c *worker.Conn) {
	if err := p.more(c); err != nil {
		fmt.Fprintln(os.Stderr, "producing:", err)
		_ = c.Abort() // the client finds the end too early
	}
}

// A client that asks for much and does not read it, or hardly, and one that has
// everything sent back and reads nothing, cost their worker no more memory than
// it allows for one connection, and lose nothing when they read at last. What
// they cost the other clients of that worker is shown.
func TestSlowReader(t *testing.T) {
	const asked = 100_000_000
	tests := []struct {
		name  string
		args  []string
		bound int
		begin func(t *testing.T, c *client) (sent int)
		pace  time.Duration // 64 KiB are read at a time; 0: nothing is
	}{
		{"asks and does not read", []string{"--", self(), "worker-producing"}, producerOutput, askFor(asked), 0},
		{"asks and reads slowly", []string{"--", self(), "worker-producing"}, producerOutput, askFor(asked), 5 * time.Millisecond},
		{"sends and does not read", nil, 16 << 20, flood, 0}, // WithMaxOutput's default
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// The collector lets the memory in use double, and the race detector
			// has shadows of it. All that was asked for would be beyond that.
			const margin = 32 << 20
			s := serve(t, append([]string{"--workers", "1"}, test.args...)...)
			pid := s.until("the worker is ready", ready(1)).Workers[0].PID
			without := neighbours(t, s.address)
			before := memory(t, pid, "VmRSS:")

			c := dial(t, s.address)
			sent := test.begin(t, c)
			reading, stop := make(chan struct{}), make(chan struct{})
			received := 0
			var readErr error
			go func() {
				defer close(reading)
				received, readErr = readSlowly(c, test.pace, stop)
			}()
			with := neighbours(t, s.address)
			close(stop)
			<-reading
			if readErr != nil {
				t.Fatal(readErr)
			}

			// All the rest, at once.
			if err := errors.Join(c.conn.CloseWrite(), c.conn.SetDeadline(time.Now().Add(limit))); err != nil {
				t.Fatal(err)
			}
			rest, err := readProduce(c.in, received)
			if received+rest != sent || err != nil {
				t.Errorf("received %d bytes and then %d, %v; want %d", received, rest, err, sent)
			}
			_ = c.conn.Close() // it has ended
			peak := memory(t, pid, "VmHWM:")
			t.Logf("%d bytes, of which the slow reader took %d while 100 neighbours were served: the worker's memory (RSS) grew by at most %.1f MB (%.1f to %.1f MB), bound %.1f MB",
				sent, received, mega(peak-before), mega(before), mega(peak), mega(test.bound))
			t.Logf("a neighbour's round trip: without %v, with %v", without, with)
			if peak-before > test.bound+margin {
				t.Errorf("memory grew by %d bytes, want at most %d and a margin of %d", peak-before, test.bound, margin)
			}
			status := s.until("all have left", func(status master.Status) bool { return status.Connections.Active == 0 })
			if status.Connections.Lost+status.Connections.Refused != 0 {
				t.Errorf("%+v, want none lost or refused", status.Connections)
			}
			s.stop()
		})
	}
}

func mega(bytes int) float64 { return float64(bytes) / 1e6 }

// askFor asks for n bytes, and reads the first: the worker is at it.
func askFor(n int) func(t *testing.T, c *client) int {
	return func(t *testing.T, c *client) int {
		t.Helper()
		if err := c.send(strconv.Itoa(n) + "\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.in.Peek(1); err != nil {
			t.Fatal(err)
		}
		return n
	}
}

// flood sends until it is held up: it has found no room for a single byte for a
// while. It would send 100 MB.
func flood(t *testing.T, c *client) (sent int) {
	t.Helper()
	const most = 100_000_000
	for sent < most {
		if err := c.conn.SetWriteDeadline(time.Now().Add(250 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := c.conn.Write(produce[sent%len(produce):])
		sent += n
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			return sent
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
	t.Errorf("sent %d bytes without being held up", sent)
	return sent
}

// readSlowly reads at a pace until told to stop; not at all without one.
func readSlowly(c *client, pace time.Duration, stop <-chan struct{}) (received int, err error) {
	if pace == 0 {
		<-stop
		return 0, nil
	}
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return received, nil
		case <-ticker.C:
		}
		n, err := readProduce(io.LimitReader(c.in, int64(len(produce))), received)
		if received += n; err != nil {
			return received, err
		}
	}
}

// readProduce reads to the end and checks what comes, of which from bytes have
// come before.
func readProduce(in io.Reader, from int) (n int, err error) {
	b := make([]byte, len(produce))
	for {
		got, err := in.Read(b)
		at := (from + n) % len(produce)
		want := slices.Concat(produce[at:], produce[:at])
		if !bytes.Equal(b[:got], want[:got]) {
			return n, fmt.Errorf("wrong bytes from %d on", from+n)
		}
		n += got
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// neighbours has 100 clients exchange lines, each as fast as it is answered, and
// leave.
func neighbours(t *testing.T, address string) trips {
	t.Helper()
	const clients = 100
	exchanges := sized(20, 200)
	line := strings.Repeat("x", 63) + "\n"
	all := make([]*client, clients)
	for i := range all {
		all[i] = dial(t, address)
	}
	took := make(trips, clients*exchanges)
	var group sync.WaitGroup
	for i, c := range all {
		group.Go(func() {
			for n := range exchanges {
				start := time.Now()
				if err := c.send(line); err != nil {
					t.Error(err)
					return
				}
				if got, err := c.in.ReadString('\n'); got != line || err != nil {
					t.Errorf("neighbour got %q, %v", got, err)
					return
				}
				took[i*exchanges+n] = time.Since(start)
			}
			if err := c.end(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	slices.Sort(took)
	return took
}

// trips are sorted times of round trips.
type trips []time.Duration

func (l trips) String() string {
	at := func(percent int) time.Duration { return l[(len(l)-1)*percent/100].Round(10 * time.Microsecond) }
	return fmt.Sprintf("median %v, p99 %v, longest %v of %d", at(50), at(99), at(100), len(l))
}

// memory returns a size, in bytes, that the kernel keeps of a process's memory:
// VmRSS as it is, VmHWM at its highest (proc_pid_status(5)).
func memory(t *testing.T, pid int, key string) int {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == key {
			kib, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("no %s in %s", key, content)
	return 0
}
