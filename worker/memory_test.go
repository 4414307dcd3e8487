package worker_test

import (
	"errors"
	"io"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
)

// held returns what the worker of c has buffered.
func held(t *testing.T, c *worker.Conn) int {
	t.Helper()
	n := make(chan int, 1)
	if !c.Post(func(c *worker.Conn) { n <- worker.Held(c) }) {
		t.Fatal("closed")
	}
	return await(t, n)
}

// ends is an echo whose sessions report their end.
type ends struct {
	opened chan *worker.Conn
	closed chan end
}

type end struct {
	id  uint64
	err error
}

func newEnds() *ends {
	return &ends{opened: make(chan *worker.Conn, 1000), closed: make(chan end, 1000)}
}

func (e *ends) Open(c *worker.Conn) (worker.Session, error) {
	e.opened <- c
	return e, nil
}

func (e *ends) Data(c *worker.Conn, in []byte) (int, error) { return c.Write(in) }
func (e *ends) Close(c *worker.Conn, err error)             { e.closed <- end{c.ID(), err} }

// Clients that send and do not read fill the worker's memory up to its bound, and
// then are no longer read from; the others are served all the while.
func TestClientsThatDoNotReadStayWithinTheMemory(t *testing.T) {
	const bound = 4 << 20
	var log locked
	h := newEnds()
	s := newRig(t, h, worker.WithMemory(bound), worker.WithLogger(hclog.New(&hclog.LoggerOptions{Output: &log})))
	neighbour := s.connect()
	c := await(t, h.opened)
	const greedy = 60 // of half a MiB each, if they are let
	var all sync.WaitGroup
	var clients []*client
	for range greedy {
		client := s.connectNarrow()
		clients = append(clients, client)
		all.Go(func() { _, _ = client.Write(make([]byte, 8<<20)) }) // until it is closed
	}
	most := 0
	for rest := 500; rest > 0; rest-- {
		neighbour.send("x")
		neighbour.expect("x")
		most = max(most, held(t, c))
		if !strings.Contains(log.String(), "memory for buffers is full") {
			rest = 500 // as long as the test may run
		}
	}
	if most > 2*bound+1<<20 {
		t.Errorf("%d bytes were held, want at most %d or so", most, 2*bound)
	}
	for _, client := range clients {
		check(t, client.Close())
	}
	all.Wait()
	check(t, neighbour.Close())
}

// A broadcast to clients that do not read ends with the largest closed, within the
// callback, and the others none the worse.
func TestBroadcastClosesTheLargest(t *testing.T) {
	const bound, receivers = 1 << 20, 12
	h := newEnds()
	s := newRig(t, h, worker.WithMemory(bound))
	neighbour := s.connect()
	speaker := await(t, h.opened)
	for range receivers {
		s.connectNarrow()
		await(t, h.opened)
	}
	most := make(chan int, 1)
	speaker.Post(func(c *worker.Conn) {
		n := 0
		c.Each(func(other *worker.Conn) {
			size := 1 << 20
			switch {
			case other == c:
				return
			case other.ID()%2 == 0:
				size = 8 << 10
			}
			for written := 0; written < size; written += 8 << 10 {
				_, _ = other.Write(make([]byte, 8<<10)) // it may be the one that is closed
				n = max(n, worker.Held(c))
			}
		})
		most <- n
	})
	if n := await(t, most); n > 2*bound+1<<20 {
		t.Errorf("%d bytes were held, want at most %d or so", n, 2*bound)
	}
	e := await(t, h.closed)
	if e.id%2 == 0 || !errors.Is(e.err, worker.ErrMemory) {
		t.Errorf("connection %d was closed because of %v, want one of odd number", e.id, e.err)
	}
	neighbour.send("x")
	neighbour.expect("x")
	failed := make(chan error, 1)
	speaker.Post(func(c *worker.Conn) {
		_, err := c.Write(make([]byte, 15<<20))
		failed <- err
	})
	if err := await(t, failed); !errors.Is(err, worker.ErrMemory) {
		t.Errorf("writing more than all is allowed said %v", err)
	}
	check(t, neighbour.Close())
}

// Input that sessions leave counts too: half messages of many clients are closed
// before they are too much.
func TestHalfMessagesStayWithinTheMemory(t *testing.T) {
	const bound = 1 << 20
	h := newEnds()
	hoard := worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		h.opened <- c
		return &hoarding{ends: h}, nil
	})
	s := newRig(t, hoard, worker.WithMemory(bound))
	first := s.connect()
	c := await(t, h.opened)
	for range 20 {
		client := s.connect()
		await(t, h.opened)
		client.send(string(make([]byte, 256<<10)))
	}
	if e := await(t, h.closed); !errors.Is(e.err, worker.ErrMemory) {
		t.Errorf("closed because of %v", e.err)
	}
	if n := held(t, c); n > 2*bound {
		t.Errorf("%d bytes are held, want at most %d", n, 2*bound)
	}
	check(t, first.Close())
}

// hoarding consumes nothing.
type hoarding struct{ *ends }

func (h *hoarding) Data(*worker.Conn, []byte) (int, error) { return 0, nil }

// A buffer shrinks while its client reads, and not only when all is read.
func TestOutputShrinksWhileItDrains(t *testing.T) {
	const owed = 12 << 20
	h := newEnds()
	s := newRig(t, h)
	client := s.connectNarrow()
	c := await(t, h.opened)
	c.Post(func(c *worker.Conn) {
		_, err := c.Write(make([]byte, owed))
		check(t, err)
	})
	if n := held(t, c); n < owed-1<<20 {
		t.Fatalf("%d bytes are held", n)
	}
	_, err := io.CopyN(io.Discard, client, owed-512<<10)
	check(t, err)
	if n := held(t, c); n > 4<<20 {
		t.Errorf("%d bytes are held for less than 512 KiB that are owed", n)
	}
	check(t, client.Close())
}

// However buffers come and go, none is forgotten in the account.
func TestMemoryIsGivenBack(t *testing.T) {
	h := newEnds()
	s := newRig(t, h, worker.WithMemory(1<<20))
	neighbour := s.connect()
	c := await(t, h.opened)
	for round := range 30 {
		client := s.connectNarrow()
		await(t, h.opened)
		go func() { _, _ = client.Write(make([]byte, 1<<20)) }() // until it is closed
		switch round % 3 {
		case 0: // it reads all
			_, err := io.CopyN(io.Discard, client, 1<<20)
			check(t, err)
			check(t, client.Close())
		case 1: // some
			_, err := io.CopyN(io.Discard, client, 300<<10)
			check(t, err)
			client.reset()
		case 2: // nothing
			client.reset()
		}
		await(t, h.closed)
	}
	if n := held(t, c); n != 0 {
		t.Errorf("%d bytes are held for connections that are gone", n)
	}
	check(t, neighbour.Close())
}

// Who says what the bound is.
func TestWhoBoundsTheMemory(t *testing.T) {
	tests := []struct {
		name    string
		hello   ipc.Hello
		program int64
		want    int64
	}{
		{"the operator", ipc.Hello{MemoryBytes: 1 << 20}, 0, 1 << 20},
		{"the operator, whatever the program says", ipc.Hello{MemoryBytes: 1 << 20}, 2 << 20, 1 << 20},
		{"the program, where nobody did", ipc.Hello{MemoryBytes: 1 << 20, MemoryIsDefault: true}, 2 << 20, 2 << 20},
		{"the master's default", ipc.Hello{MemoryBytes: 1 << 20, MemoryIsDefault: true}, 0, 1 << 20},
		{"a master of before", ipc.Hello{}, 3 << 20, 3 << 20},
		{"too much for an int", ipc.Hello{MemoryBytes: math.MaxInt64}, 0, math.MaxInt / 4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			limit := make(chan int, 1)
			test.hello.Protocol = ipc.Version
			s := newRigWith(t, test.hello, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
				limit <- worker.MemoryLimit(c)
				return worker.DataFunc(echo), nil
			}), worker.WithMemory(test.program))
			client := s.connect()
			if got := int64(await(t, limit)); got != test.want {
				t.Errorf("%d, want %d", got, test.want)
			}
			check(t, client.Close())
		})
	}
}
