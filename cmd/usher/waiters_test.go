package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func init() { helpers["waiters"] = waitersMain }

// waiters is a process of many clients of the timing worker, which come from one
// address.
type waiters struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *transcript
}

// gatherWaiters has n clients connect, and does not wait for it.
func gatherWaiters(t *testing.T, from, to string, n int) *waiters {
	t.Helper()
	cmd, mark := command("waiters", from, to, strconv.Itoa(n))
	c := &waiters{t: t, cmd: cmd}
	var err error
	if c.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	var write *os.File
	write, c.out = newTranscript(t)
	cmd.Stdout, cmd.Stderr = write, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close() // the child has it now
	t.Cleanup(func() {
		killMarked(mark) // if the story did not come to its end
		if err := cmd.Wait(); err != nil && !t.Failed() {
			t.Errorf("waiters of %s: %v", from, err)
		}
		c.out.waitEnd(limit)
	})
	return c
}

// arm has every client ask for a timeout, at random between two.
func (c *waiters) arm(shortest, longest time.Duration, seed uint64) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.in, shortest.Milliseconds(), longest.Milliseconds(), seed); err != nil {
		c.t.Fatal(err)
	}
}

const waitersLine = "ended: "

// result waits for the end of all, and returns when it came.
func (c *waiters) result(t *testing.T, within time.Duration) (seen tally) {
	t.Helper()
	line := c.out.awaitWithin(t, within, 1, waitersLine)
	if err := json.Unmarshal([]byte(strings.TrimPrefix(line, waitersLine)), &seen); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	_ = c.in.Close() // it has ended, or is about to
	return seen
}

// portLater leaves the port to connect(2), which looks for one that is free for
// that server. bind(2) looks for one that is free for all, and after a story of
// 100,000 clients, for a minute, that takes it seconds (IP_BIND_ADDRESS_NO_PORT in
// ip(7)).
func portLater(_, _ string, raw syscall.RawConn) error {
	var set error
	err := raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
	return errors.Join(err, set)
}

// waitersMain is that process: it connects, is told the timeouts on standard
// input, and says what it has seen on standard output.
func waitersMain() {
	from, to := os.Args[2], os.Args[3]
	n, err := strconv.Atoi(os.Args[4])
	if err != nil {
		panic(err) // as given by gatherWaiters
	}
	conns := make([]*net.TCPConn, n)
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: limit, Control: portLater}
	each(conns, func(i int) error {
		conn, err := dialer.Dial("tcp", to)
		if err == nil {
			conns[i] = conn.(*net.TCPConn)
		}
		return err
	})
	fmt.Println("connected")

	var shortest, longest, seed uint64
	if _, err := fmt.Fscanln(bufio.NewReader(os.Stdin), &shortest, &longest, &seed); err != nil {
		return // the story ended before
	}
	random := rand.New(rand.NewPCG(seed, 1))
	timeouts, starts := make([]time.Duration, n), make([]time.Time, n)
	for i := range timeouts {
		timeouts[i] = time.Duration(shortest+random.Uint64N(longest-shortest)) * time.Millisecond
	}
	each(conns, func(i int) error {
		starts[i] = time.Now()
		_, err := fmt.Fprintf(conns[i], "%d\n", timeouts[i].Milliseconds())
		_, readErr := io.ReadFull(conns[i], make([]byte, 1))
		return errors.Join(err, readErr, conns[i].CloseWrite())
	})
	fmt.Println("armed")

	var mu sync.Mutex
	var seen tally
	var group sync.WaitGroup
	for i, conn := range conns {
		group.Go(func() {
			got, err := conn.Read(make([]byte, 1))
			after := time.Since(starts[i])
			_ = conn.Close() // it has ended
			mu.Lock()
			defer mu.Unlock()
			if got > 0 || err != io.EOF {
				seen.Failed++
			} else {
				seen.add(timeouts[i], after)
			}
		})
	}
	group.Wait()
	line, _ := json.Marshal(seen) // numbers
	fmt.Printf("%s%s\n", waitersLine, line)
}

// each calls f for every index of conns, several at a time. An error ends the process.
func each(conns []*net.TCPConn, f func(i int) error) {
	const atOnce = 32
	var group sync.WaitGroup
	for first := range atOnce {
		group.Go(func() {
			for i := first; i < len(conns); i += atOnce {
				if err := f(i); err != nil {
					fmt.Fprintln(os.Stderr, "waiters:", err)
					os.Exit(1)
				}
			}
		})
	}
	group.Wait()
}
