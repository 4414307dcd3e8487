package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// Reloads replace every worker while clients come, exchange and go all the
// time, and none of them notices.
func TestReload(t *testing.T) {
	t.Parallel()
	const clients = 8
	reloads := sized(3, 30)
	s := serve(t, "--app", "lines", "--workers", "2")
	old := pids(s.until("ready", ready(2)))

	var visits atomic.Int64
	var stops []func()
	for range clients {
		stops = append(stops, meanwhile(t, func() bool {
			err := shortVisit(s.address)
			if err != nil {
				t.Errorf("visit: %v", err)
			}
			visits.Add(1)
			return err == nil
		}))
	}
	for n := range reloads {
		before := visits.Load()
		s.signal(unix.SIGHUP)
		generation := n + 2
		status := s.until(fmt.Sprintf("generation %d alone", generation), func(status master.Status) bool {
			return status.Generation == generation && ready(2)(status)
		})
		for _, w := range status.Workers {
			if w.Generation != generation || slices.Contains(old, w.PID) {
				t.Errorf("after reload %d: worker %+v, of the old %v", n, w, old)
			}
		}
		old = pids(status)
		until(t, "clients have been served meanwhile", func() (bool, string) {
			return visits.Load() > before+clients, fmt.Sprint(visits.Load())
		})
	}
	for _, stop := range stops {
		stop()
	}
	status, err := s.status()
	if err != nil || status.Connections.Lost+status.Connections.Refused != 0 {
		t.Errorf("%+v, %v; want none lost or refused", status.Connections, err)
	}
	t.Logf("%d visits in %d reloads", visits.Load(), reloads)
	s.stop()
}

// shortVisit exchanges two lines on one connection.
func shortVisit(address string) error {
	c, err := connect(address)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	for _, line := range []string{"hello", "again"} {
		if _, err := c.exchange(line); err != nil {
			return err
		}
	}
	return c.end()
}

// The program broke meanwhile: a reload changes nothing, and says why. Once it
// is repaired, a reload does.
func TestReloadBrokenProgram(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "worker")
	good := fmt.Sprintf("#!/bin/sh\nexec '%s' worker lines\n", self())
	script(t, program, good)
	s := serve(t, "--workers", "2", "--", program)
	before := s.until("ready", ready(2))
	c := dial(t, s.address)
	c.ask(t, "hello")

	breaks := []struct {
		name, content string
		want          string // in the log
	}{
		{"it ends at once", "#!/bin/sh\necho no such table >&2\nexit 1\n", "no such table"},
		{"it does not start", "not a program\n", "exec format error"},
	}
	for n, broken := range breaks {
		script(t, program, broken.content)
		s.signal(unix.SIGHUP)
		line := s.log.await(t, n+1, "[ERROR]", "reload failed, the old workers keep serving", "generation=2")
		if !strings.Contains(line, broken.want) && len(s.log.with(broken.want)) == 0 {
			t.Errorf("%s: %q is not in the log", broken.name, broken.want)
		}
		after := s.until("the old workers alone", ready(2))
		if diff := cmp.Diff(pids(before), pids(after)); diff != "" || after.Generation != 1 {
			t.Errorf("%s: generation %d, workers, -before +after:\n%s", broken.name, after.Generation, diff)
		}
		c.ask(t, "still here")
		if err := shortVisit(s.address); err != nil {
			t.Errorf("%s: %v", broken.name, err)
		}
	}

	script(t, program, good)
	s.signal(unix.SIGHUP)
	s.until("the next generation", func(status master.Status) bool { return status.Generation == 2 })
	c.ask(t, "still here")
	c.leave(t)
	after := s.until("the next generation alone", ready(2))
	for _, pid := range pids(after) {
		if slices.Contains(pids(before), pid) {
			t.Errorf("worker %d is of the old generation", pid)
		}
	}
	if after.Connections.Lost != 0 {
		t.Errorf("%d connections lost", after.Connections.Lost)
	}
	s.stop()
}
