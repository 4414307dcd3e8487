package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// lingerers are givers that leave the last close of what they give back to the
// master, each with what the log says of it.
var lingerers = map[string]struct {
	do     func(g *gift)
	reason string
}{
	"one envelope and two descriptors": {func(g *gift) {
		g.send(g.plain(), g.packet.FD(0), pipe())
	}, "surplus descriptors"},
	"a packet that cannot be read": {func(g *gift) {
		b := g.plain()
		b[8+4] = 200 // the length of the listener's name
		g.send(b, g.packet.FD(0))
	}, "malformed"},
	"more than it was given": {func(g *gift) {
		var twice ipc.Packet
		twice.Add(&ipc.Envelope{ID: 1, State: []byte("0 0")}, g.packet.FD(0))
		twice.Add(&ipc.Envelope{ID: 1, State: []byte("0 0")}, pipe())
		_ = g.packets.Send(ipc.QueueFD, &twice) // the log would miss it
	}, "gave back more connections than it was given"},
	"a large state that is a pipe": {func(g *gift) {
		g.send(g.large(), g.packet.FD(0), pipe())
	}, "gave back a state that is no memfd"},
}

// letLinger has a connection's close(2) wait for an hour, or until its client has
// read what it does not read.
func letLinger(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 3600}) // it would not be a story
	for chunk := make([]byte, 1<<16); ; {
		if _, err := unix.SendmsgN(fd, chunk, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL); err != nil {
			return // it is full
		}
	}
}

func init() {
	// The arguments: which of lingerers, and a folder to be made. Whoever makes it
	// gives one connection back; all others are good.
	helpers["worker-lingerer"] = func() {
		g := onlyGift(os.Args[3])
		letLinger(g.packet.FD(0))
		_ = unix.Kill(os.Getppid(), unix.SIGSTOP) // the master is to be the last to close it
		lingerers[os.Args[2]].do(g)
		g.packet.Close()
		_ = unix.Kill(os.Getppid(), unix.SIGCONT)
		helpers["worker-mute"]()
	}
	// A worker that gives each client more than it reads, and closes at once.
	helpers["worker-lingering"] = func() {
		sayReady()
		for g := new(gift); ; {
			g.await()
			for i := range g.packet.Len() {
				fd := g.packet.Take(i)
				letLinger(fd)
				go unix.Close(fd) // this one may wait
			}
		}
	}
}

// A connection that has SO_LINGER, whose client does not read, and which a worker
// gives back such that the master is to close it: other clients are served, and
// commands answered, all the same.
func TestLingererHoldsUpNobody(t *testing.T) {
	t.Parallel()
	for name, lingerer := range lingerers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "--workers", "1", "--", self(), "worker-lingerer", name, filepath.Join(t.TempDir(), "done"))
			slow := dial(t, s.address)
			s.log.await(t, 1, "[WARN]", "worker died", "slot=0", lingerer.reason)
			s.until("it is replaced", func(status master.Status) bool {
				return ready(1)(status) && status.Workers[0].Restarts == 1 && status.Connections.Lost == 1
			})
			c := gather(t, s.address, 3)
			s.until("others are served", func(status master.Status) bool { return status.Connections.Active == 3 })
			c.disperse()
			_ = slow.conn.Close() // it has not read
			s.workerFDs = descriptors(pids(s.until("at rest", ready(1)))[0])
			s.stop()
		})
	}
}

// A worker that lingers with each of many clients, none of which reads, may have
// closed its descriptor before the master has: all are served.
func TestLingeringWorkerIsServed(t *testing.T) {
	t.Parallel()
	clients := sized(300, 5000)
	s := serve(t, "--workers", "1", "--", self(), "worker-lingering")
	for range clients {
		dial(t, s.address)
	}
	s.until("all are accepted", func(status master.Status) bool {
		return int(status.Connections.Accepted) == clients && status.Connections.Queued == 0
	})
	s.signal(unix.SIGQUIT)
	s.ends(0)
}
