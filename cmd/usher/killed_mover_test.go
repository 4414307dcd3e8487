package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/killpoint"
	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// killMover kills a worker in the middle of moving its connections. Those that it
// had not sent die with it, and no others; none is served twice: each client sees
// its own bytes exactly, or its end.
func killMover(t *testing.T, binary string, point killpoint.Point) {
	row := killpoint.Table[point]
	const clients = 200 // a hundred each
	file := filepath.Join(t.TempDir(), "stopped")
	cmd, mark := command()
	cmd.Path = binary
	cmd.Env = append(cmd.Env, killpoint.EnvPoint+"="+row.Name, killpoint.EnvFile+"="+file)
	s := serveCommandLine(t, cmd, mark, "--app", "echo", "--workers", "2")

	var ended, wrong atomic.Int64
	done, finished := make(chan struct{}), make(chan struct{}, clients)
	for i := range clients {
		c, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * limit)) // it is open
		go func() {
			defer func() { finished <- struct{}{} }()
			defer c.Close()
			if exact, err := echoes(c, uint64(i), done); !exact {
				wrong.Add(1)
				t.Errorf("client %d: what came is not its own: %v", i, err)
			} else if err != nil {
				ended.Add(1)
			}
		}()
	}
	s.until("all are there", func(status master.Status) bool { return status.Connections.Active == clients })

	s.signal(unix.SIGHUP)
	victim := awaitStop(t, file)
	kill(t, victim, unix.SIGKILL)
	// 100 were the victim's, of which it sent none, or one packet: the first has one.
	lost := uint64(clients / 2)
	if row.Fate.Served {
		lost--
	}
	s.until("new workers have the others", func(status master.Status) bool {
		c := status.Connections
		for _, w := range status.Workers {
			if w.Generation != 2 {
				return false
			}
		}
		return ready(2)(status) && c.Lost == lost && c.Active == clients-lost
	})
	until(t, "those that died have seen it", func() (bool, string) {
		return uint64(ended.Load()) == lost || wrong.Load() > 0, fmt.Sprint(ended.Load())
	})
	close(done)
	for range clients {
		<-finished
	}
	if uint64(ended.Load()) != lost {
		t.Errorf("%d clients saw their end, %d are booked as lost", ended.Load(), lost)
	}
	s.stop()
}

// echoes exchanges random bytes until done is closed, in pieces, and reports
// whether all that came was what was sent, and in order; and what ended it.
func echoes(c net.Conn, seed uint64, done <-chan struct{}) (exact bool, err error) {
	random := rand.New(rand.NewPCG(seed, 9))
	sent, got := make([]byte, 4096), make([]byte, 4096)
	for {
		n := 1 + random.IntN(len(sent))
		for i := range sent[:n] {
			sent[i] = byte(random.Uint32())
		}
		if _, err := c.Write(sent[:n]); err != nil {
			return true, err
		}
		m, err := io.ReadFull(c, got[:n])
		if !bytes.Equal(got[:m], sent[:m]) {
			return false, err
		}
		if err != nil {
			return true, err
		}
		select {
		case <-done:
			return true, nil
		case <-time.After(time.Duration(random.IntN(10)) * time.Millisecond): // at rest for a while: then it moves
		}
	}
}
