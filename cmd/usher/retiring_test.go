package main

import (
	"strings"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// A deploy of a program whose workers want to end as soon as they begin: the old
// ones keep the connections, for as long as that goes on, and the reload says so.
func TestDeployThatRetires(t *testing.T) {
	t.Parallel()
	const clients = 50
	s, program := serveDeployed(t, "worker-summing-1", "--workers", "1", "--drain-timeout", "2s")
	c := gather(t, s.address, clients)
	s.until("all are there", func(status master.Status) bool { return int(status.Connections.Active) == clients })
	deploy(t, program, "worker-leaving")
	got := s.ask("reload")
	if got.code != exitFailed || !strings.Contains(got.stderr, "wants to end") {
		t.Errorf("%+v, want it to say what the new workers do", got)
	}
	status, err := s.status()
	if err != nil {
		t.Fatal(err)
	}
	if status.Generation == 2 { // else the new workers wanted to end before they were given anything
		s.log.await(t, 6, "worker restarts later") // far beyond the drain timeout
	}
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

// usher scale with a program whose workers do not stay ends, and says so if it sees
// them go before all are there.
func TestScaleWithProgramThatRetires(t *testing.T) {
	t.Parallel()
	s, program := serveDeployed(t, "worker-summing-1", "--workers", "1")
	deploy(t, program, "worker-leaving")
	got := s.ask("scale", "+2")
	if got.code != 0 && !strings.Contains(got.stderr, "wants to end") {
		t.Errorf("%+v, want it to say what the new workers do", got)
	}
	s.signal(unix.SIGTERM)
	s.ends(0)
}
