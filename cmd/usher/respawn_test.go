package main

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// A worker that dies again and again is started again after ever longer
// pauses: none, then 100 ms, doubled each time, give or take a fifth.
func TestRespawnBackoff(t *testing.T) {
	t.Parallel()
	const deaths = 5
	s := serve(t, "--app", "lines", "--workers", "1")
	for n := range deaths {
		status := s.until("ready", func(status master.Status) bool {
			return ready(1)(status) && status.Workers[0].Restarts == n
		})
		kill(t, status.Workers[0].PID, unix.SIGKILL)
		s.log.await(t, n+1, "worker died", "slot=0", `reason="signal SIGKILL"`)
	}
	s.until("ready", func(status master.Status) bool { return ready(1)(status) && status.Workers[0].Restarts == deaths })

	later := s.log.with("worker restarts later", "slot=0")
	if len(later) != deaths-1 {
		t.Fatalf("%d pauses after %d deaths, want one fewer: %q", len(later), deaths, later)
	}
	pause := regexp.MustCompile(` after=(\S+)`)
	for n, line := range later {
		match := pause.FindStringSubmatch(line)
		if match == nil {
			t.Fatalf("no after= in %q", line)
		}
		got, err := time.ParseDuration(match[1])
		middle := 100 * time.Millisecond << n
		if err != nil || got < middle*8/10 || got > middle*12/10 {
			t.Errorf("pause %d is %v, %v; want %v give or take a fifth", n, got, err, middle)
		}
	}
	c := dial(t, s.address)
	c.ask(t, fmt.Sprintf("after %d deaths", deaths))
	c.leave(t)
	s.stop()
}
