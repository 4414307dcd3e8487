package worker_test

import (
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

func TestReady(t *testing.T) {
	var limit unix.Rlimit
	check(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	offered := int(limit.Cur) - worker.ReservedFDs
	tests := []struct {
		name     string
		maxConns int
		want     int
	}{{"all", 0, offered}, {"fewer", 5, 5}, {"more than there are", 1 << 40, offered}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newRigWith(t, ipc.Hello{Protocol: ipc.Version, MaxConns: test.maxConns}, worker.DataFunc(echo))
			want := ipc.Ready{Protocol: ipc.Version, Capacity: test.want, Moves: true, Closes: true, Proxy: true, AccessLog: true,
				Asks: []string{ipc.AskList, ipc.AskStacks, ipc.AskProfile, ipc.AskLogLevel}}
			if !reflect.DeepEqual(s.ready, want) {
				t.Errorf("got %+v, want %+v", s.ready, want)
			}
			if s.entry.Sequence.Load() == 0 || s.entry.Thread.Load() == 0 {
				t.Error("ready without a beat")
			}
		})
	}
}

func TestFullPackets(t *testing.T) {
	h := newRecorder(echo)
	s := newRig(t, h)
	var clients []*client
	for range 5 {
		var fds []int
		for range ipc.MaxConns {
			c, fd := s.accept()
			clients, fds = append(clients, c), append(fds, fd)
		}
		s.hand(fds...)
	}
	for _, c := range clients {
		c.send("x")
		c.expect("x")
		check(t, c.Close())
		h.expectClose(t, nil)
	}
}

// The bell rings once each time that it is asked for.
func TestBell(t *testing.T) {
	h := newRecorder(echo)
	s := newRig(t, h)
	end := func() {
		check(t, s.connect().Close())
		h.expectClose(t, nil)
	}
	end()
	for range 2 {
		s.entry.WantBell.Store(1)
		end()
		if m := next[ipc.Closed](s); m.Count != 0 || m.IDs != nil {
			t.Errorf("got %+v", m)
		}
		if s.entry.WantBell.Load() != 0 {
			t.Error("it is still asked for")
		}
		end()
	}
	if len(s.messages) > 0 {
		t.Errorf("rang once more: %+v", <-s.messages)
	}
}

func TestIDsOfClosedConnections(t *testing.T) {
	h := newRecorder(echo)
	s := newRigWith(t, ipc.Hello{Protocol: ipc.Version, Report: ipc.ReportIDs}, h)
	var clients []*client
	for range 50 {
		clients = append(clients, s.connect())
	}
	for _, c := range clients {
		check(t, c.Close())
	}
	var ids []uint64
	for len(ids) < len(clients) {
		ids = append(ids, next[ipc.Closed](s).IDs...)
	}
	slices.Sort(ids)
	for i, id := range ids {
		if id != uint64(i+1) {
			t.Fatalf("got %v", ids)
		}
	}
}

func TestMalformedPacketEndsTheWorker(t *testing.T) {
	s := newRig(t, worker.DataFunc(echo))
	_, err := unix.Write(s.queue, []byte("no packet at all"))
	check(t, err)
	s.wait()
	if s.err == nil {
		t.Error("Serve returned nil")
	}
}

func TestMalformedMessageIsIgnored(t *testing.T) {
	s := newRig(t, worker.DataFunc(echo))
	for _, text := range []string{"{", `{"type":"of tomorrow"}`, `{"type":"drain","deadline_ms":-1}`} {
		_, err := s.control.Write([]byte(text))
		check(t, err)
	}
	c := s.connect()
	c.send("x")
	c.expect("x")
}

// A connection with frozen state would be lost on a worker that cannot thaw.
func TestFrozenStateIsRefused(t *testing.T) {
	s := newRig(t, worker.DataFunc(echo))
	c, fd := s.accept()
	s.packet.Reset()
	s.packet.Add(&ipc.Envelope{ID: 1, State: []byte("what?")}, fd)
	check(t, s.packets.Send(s.queue, &s.packet))
	c.expectEnd()
}

// Descriptors run out: what came is lost and booked, and later ones are served.
func TestOutOfDescriptors(t *testing.T) {
	blocked, goOn := make(chan bool), make(chan bool)
	s := newRig(t, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		if string(in) == "block" {
			blocked <- true
			<-goOn
		}
		return c.Write(in)
	}))
	block := s.connect()
	block.send("block")
	await(t, blocked)
	batch := func() (clients []*client) {
		var fds []int
		for range 10 {
			c, fd := s.accept()
			clients, fds = append(clients, c), append(fds, fd)
		}
		s.hand(fds...)
		return clients
	}
	lost, kept := batch(), batch()

	var limit syscall.Rlimit
	check(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	check(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 0, Max: limit.Max}))
	goOn <- true
	s.until(func() bool { return s.entry.Closed.Load() == 10 })
	for range 100 { // the loop has turns meanwhile
		block.send("x")
	}
	block.expect("block" + strings.Repeat("x", 100))
	check(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))

	for _, c := range lost {
		c.expectEnd()
	}
	for _, c := range kept {
		c.send("x")
		c.expect("x")
	}
	if got := s.entry.Received.Load(); got != 21 {
		t.Errorf("received %d, want 21", got)
	}
	if got := s.entry.Lost.Load(); got != 10 {
		t.Errorf("%d booked as lost, want 10", got)
	}
}

// The end of the queue alone is not the end of the worker.
func TestQueueClosed(t *testing.T) {
	s := newRig(t, worker.DataFunc(echo))
	c := s.connect()
	c.send("x")
	c.expect("x")
	check(t, unix.Shutdown(s.queue, unix.SHUT_RDWR))
	s.expectRest()
	c.send("y")
	c.expect("y")
	s.tell(ipc.Drain{Mode: ipc.DrainFinish})
	check(t, c.Close())
	s.expectDrained()
}

// A master that does not read control holds up nothing, and is told everything
// once it reads.
func TestControlBacklog(t *testing.T) {
	h := newRecorder(echo)
	s := newRigWith(t, ipc.Hello{Protocol: ipc.Version, Report: ipc.ReportIDs}, h)
	const conns = 2000 // more messages than the channel and the socket hold together
	for range conns {
		check(t, s.connect().Close())
		h.expectClose(t, nil)
	}
	seen := make(map[uint64]bool)
	for len(seen) < conns {
		for _, id := range next[ipc.Closed](s).IDs {
			seen[id] = true
		}
	}
}

// Another process may still hold the connection when it is closed here: it must
// not be reported for ever.
func TestConnectionWithAnotherOwner(t *testing.T) {
	h := newRecorder(echo)
	s := newRig(t, h)
	c, fd := s.accept()
	other, err := unix.Dup(fd)
	check(t, err)
	s.hand(fd)
	check(t, c.Close())
	h.expectClose(t, nil)
	s.expectRest()
	check(t, unix.Close(other))
}

// What waited for longer than it is worth serving is closed and counted, and
// never reaches the handler.
func TestQueueTimeout(t *testing.T) {
	h := newRecorder(echo)
	s := newRigWith(t, ipc.Hello{Protocol: ipc.Version, QueueTimeoutMS: time.Hour.Milliseconds()}, h)
	s.accepted = ipc.NewClock().Now()
	fresh := s.connect()
	fresh.send("x")
	fresh.expect("x")

	s.accepted -= 2 * time.Hour
	late := s.connect()
	late.expectEnd()
	s.until(func() bool { return s.entry.Received.Load() == 2 && s.entry.Closed.Load() == 1 })
	check(t, fresh.Close())
	h.expectClose(t, nil) // of the one that there was
}
