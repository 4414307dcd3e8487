package main

import (
	"path/filepath"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// A deploy of a program whose workers want to end as soon as they begin: the old
// ones keep the connections, for as long as that goes on, and the reload says so.
func TestDeployThatRetires(t *testing.T) {
	t.Parallel()
	const clients = 50
	program := filepath.Join(shortDir(t), "worker")
	deploy(t, program, "worker-summing-1")
	s := serve(t, "--workers", "1", "--drain-timeout", "100ms", "--", program)
	c := gather(t, s.address, clients)
	s.until("all are there", func(status master.Status) bool { return int(status.Connections.Active) == clients })
	deploy(t, program, "worker-leaving")
	checkComplaint(t, s.ask("reload"), exitFailed, "wants to end")
	s.log.await(t, 3, "worker restarts later") // far beyond the drain timeout
	deploy(t, program, "worker-summing-1")
	if got := s.ask("reload"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	s.until("the old worker is gone", ready(1))
	c.disperse()
	if status, err := s.status(); err != nil || status.Connections.Lost+status.Connections.Cut != 0 {
		t.Errorf("%+v, %v; want none lost or cut", status.Connections, err)
	}
	s.signal(unix.SIGTERM)
	s.ends(0)
}
