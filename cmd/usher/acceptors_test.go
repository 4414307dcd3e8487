package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// Several goroutines accept, and nothing else is different: every client is served,
// counted once, and placed as exactly; an address is one, and nobody else's.
func TestAcceptors(t *testing.T) {
	t.Parallel()
	const workers = 3
	path := filepath.Join(shortDir(t), "s")
	s := serve(t, "--acceptors", "4", "--workers", strconv.Itoa(workers), "--listen", "unix://"+path)
	requests := int64(sized(2000, 50_000))
	for _, address := range []string{s.address, "unix://" + path} {
		r := bench(t, 0, "echo", address, "--churn", "--conns=100", "--requests", strconv.FormatInt(requests, 10))
		if r.Requests != requests || r.Connections != requests {
			t.Errorf("%s: %+v", address, r)
		}
	}
	status := s.until("all are gone", empty)
	if c := status.Connections; int64(c.Accepted) != 2*requests || int64(c.Closed) != 2*requests || len(status.Listeners) != 2 {
		t.Errorf("%+v on %+v, want %d closed, and two listeners", c, status.Listeners, 2*requests)
	}
	if n := listening(t, s.pid, s.address); n != 4 {
		t.Errorf("%d sockets listen at %s, want 4", n, s.address)
	}

	crowd := gatherWaiters(t, "127.0.0.3", s.address, 100*workers)
	crowd.out.await(t, 1, "connected")
	status = s.until("all are there", func(status master.Status) bool { return status.Connections.Active == 100*workers })
	for _, w := range status.Workers {
		if w.Connections != 100 {
			t.Errorf("slot %d has %d of %d connections", w.Slot, w.Connections, 100*workers)
		}
	}
	checkComplaint(t, usher(t, "serve", "--acceptors", "4", "--listen", s.address, "--control", filepath.Join(shortDir(t), "c")), exitFailed, "address already in use")
	for _, wrong := range []string{"-1", "65", "many"} {
		checkComplaint(t, usher(t, "serve", "--acceptors="+wrong), exitUsage, "acceptors")
	}
	_ = crowd.in.Close() // they leave
	s.stop()
}

// listening counts the sockets that listen at an address, as a process sees it
// (/proc/net/tcp).
func listening(t *testing.T, pid int, address string) (n int) {
	t.Helper()
	var host [4]byte
	var port int
	if _, err := fmt.Sscanf(address, "%d.%d.%d.%d:%d", &host[0], &host[1], &host[2], &host[3], &port); err != nil {
		t.Fatal(err)
	}
	const listen = "0A"
	local := fmt.Sprintf("%02X%02X%02X%02X:%04X", host[3], host[2], host[1], host[0], port)
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 3 && fields[1] == local && fields[3] == listen {
			n++
		}
	}
	return n
}

// Limits hold to the connection, however many accept.
func TestAcceptorsKeepLimits(t *testing.T) {
	t.Parallel()
	const most, clients = 10, 200
	s := serve(t, "--acceptors", "4", "--workers", "2", "--max-conns", strconv.Itoa(most))
	crowd := gatherWaiters(t, "127.0.0.3", s.address, clients)
	crowd.out.await(t, 1, "connected")
	full := func(status master.Status) bool { return status.Connections.Active == most }
	if c := s.until("as many as may be", full).Connections; c.Accepted != most {
		t.Errorf("%+v", c)
	}
	_ = crowd.in.Close() // they leave; those that waited are served, and found to have left
	if c := s.until("all have had their turn", func(status master.Status) bool { return status.Connections.Closed == clients }).Connections; c.Accepted != clients || c.Refused != 0 {
		t.Errorf("%+v", c)
	}
	s.stop()

	s = serve(t, "--acceptors", "4", "--workers", "2", "--max-conns", strconv.Itoa(most), "--overload", "close")
	crowd = gatherWaiters(t, "127.0.0.3", s.address, clients)
	crowd.out.await(t, 1, "connected")
	refused := func(status master.Status) bool { return status.Connections.Refused == clients-most }
	s.until("the rest is refused", func(status master.Status) bool { return full(status) && refused(status) })
	_ = crowd.in.Close()
	s.stop()
}

// Clients that connect without end lose nothing by upgrades, reloads and listeners
// that come and go; and the last of them are served when the server stops.
func TestAcceptorsThroughChanges(t *testing.T) {
	rounds := sized(4, 30)
	p := install(t)
	s := p.serve("--acceptors", "3", "--workers", "2")
	stop := meanwhile(t, func() bool {
		r := bench(t, 0, "echo", s.address, "--churn", "--conns=50", "--requests=500")
		if r.Requests != 500 {
			t.Errorf("%+v", r)
		}
		return r.Requests == 500
	})
	for n := range rounds {
		p.replace()
		if got := usher(t, "upgrade", "--control", s.control); got.code != 0 {
			t.Errorf("upgrade %d: %+v", n, got)
		}
		if got := usher(t, "reload", "--control", s.control); got.code != 0 {
			t.Errorf("reload %d: %+v", n, got)
		}
	}
	stop()
	status := s.until("all are gone", empty)
	if c := status.Connections; c.Lost+c.Refused != 0 || c.Accepted != c.Closed {
		t.Errorf("%+v", c)
	}
	if n := listening(t, s.pid, s.address); n != 3 {
		t.Errorf("%d sockets listen after %d upgrades, want 3", n, rounds)
	}
	s.signal(unix.SIGTERM)
	s.ends(0)
}

// Clients beyond the limit that a further accept goroutine has accepted hold up no
// upgrade: they wait on with the next program, and are served when there is room.
func TestAcceptorsUpgradeAboveLimit(t *testing.T) {
	t.Parallel()
	const most, clients = 2, 60
	p := install(t)
	s := p.serve("--acceptors", "2", "--workers", "1", "--max-conns", strconv.Itoa(most))
	crowd := gatherWaiters(t, "127.0.0.3", s.address, clients)
	crowd.out.await(t, 1, "connected")
	s.until("as many as may be", func(status master.Status) bool { return status.Connections.Active == most })
	for range 2 {
		p.replace()
		if got := usher(t, "upgrade", "--control", s.control); got.code != 0 {
			t.Fatalf("%+v", got)
		}
	}
	_ = crowd.in.Close() // they leave; those that waited are served, and found to have left
	c := s.until("all have had their turn", func(status master.Status) bool { return status.Connections.Closed == clients }).Connections
	if c.Accepted != clients || c.Refused+c.Lost != 0 {
		t.Errorf("%+v", c)
	}
	s.stop()
}
