package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// manager is a service manager that listens (sd_notify(3)).
type manager struct {
	path string
	said *transcript // one line for each message, its lines joined by spaces
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{path: filepath.Join(shortDir(t), "notify")}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	var write *os.File
	write, m.said = newTranscript(t)
	go func() {
		defer write.Close()
		message := make([]byte, 4096)
		for {
			n, err := conn.Read(message)
			if err != nil {
				return // it is closed
			}
			_, _ = fmt.Fprintln(write, strings.ReplaceAll(strings.TrimSpace(string(message[:n])), "\n", " ")) // what is missed is missed
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close() // nothing is sent on it
		m.said.waitEnd(limit)
	})
	return m
}

// A service manager hears when the server serves, reloads and stops, and that
// it is alive. That is the master's business: no worker could say it.
func TestServiceManager(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	cmd, mark := command()
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+m.path, "WATCHDOG_USEC=3000000")
	program := filepath.Join(t.TempDir(), "worker")
	good := fmt.Sprintf("#!/bin/sh\nexec '%s' worker lines\n", self())
	script(t, program, good)
	s := launch(t, cmd, mark, "--workers", "2", "--", program)

	readyLine := m.said.await(t, 1, "READY=1")
	if want := fmt.Sprintf("READY=1 MAINPID=%d", s.pid); readyLine != want {
		t.Errorf("it says %q, want %q", readyLine, want)
	}
	status, err := s.status() // it answers by now
	if err != nil {
		t.Fatal(err)
	}
	if err := shortVisit(status.Listeners[0].Address); err != nil {
		t.Errorf("after READY=1: %v", err)
	}
	s.awaitStart()
	for _, pid := range pids(s.now()) {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID="} {
			if strings.Contains("\x00"+string(environ), "\x00"+name) {
				t.Errorf("worker %d has %s in its environment", pid, name)
			}
		}
	}

	before := monotonic()
	s.signal(unix.SIGHUP)
	m.said.await(t, 2, "READY=1")
	m.checkReloading(t, 1, before)

	// One that fails is over too.
	script(t, program, "#!/bin/sh\nexit 1\n")
	before = monotonic()
	s.signal(unix.SIGHUP)
	m.said.await(t, 3, "READY=1")
	m.checkReloading(t, 2, before)
	script(t, program, good)

	m.said.await(t, 2, "WATCHDOG=1") // it goes on
	if said := m.said.with("STOPPING=1"); len(said) > 0 {
		t.Errorf("it says %q, but nobody asked it to stop", said)
	}
	c := dial(t, s.address)
	c.ask(t, "hello")
	s.signal(unix.SIGTERM)
	m.said.await(t, 1, "STOPPING=1") // as soon as it is asked, not when it has
	c.ask(t, "still here")
	c.leave(t)
	s.ends(0)
}

// A reload that is refused has begun and is over: the manager, which may wait for that
// (Type=notify-reload), hears both.
func TestServiceManagerHearsOfRefusedReload(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	cmd, mark := command()
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+m.path)
	path := filepath.Join(t.TempDir(), "usher.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("workers = 1\n")
	s := serveCommandLine(t, cmd, mark, "--config", path)
	for n, text := range []string{"workers = nonsense\n", "workers = 1\ndispatch = \"nowhere\"\n"} {
		write(text)
		before := monotonic()
		s.signal(unix.SIGHUP)
		m.said.await(t, n+2, "READY=1")
		m.checkReloading(t, n+1, before)
		m.said.await(t, 1, "STATUS=1 workers ready, 0 connections, generation 1; reload refused at", []string{"nonsense", "nowhere"}[n])
	}
	write("workers = 2\n")
	s.signal(unix.SIGHUP)
	m.said.await(t, 1, "STATUS=2 workers ready, 0 connections, generation 2; reload done at")
	s.until("two workers", ready(2))
	c := dial(t, s.address)
	m.said.await(t, 1, "STATUS=2 workers ready, 1 connections, generation 2; reload done at")
	c.leave(t)
	s.signal(unix.SIGTERM)
	s.ends(0)
}

// Without a watchdog there are no signs of life, and without a manager none of
// this: other stories see to that.
func TestServiceManagerWithoutWatchdog(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	cmd, mark := command()
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+m.path)
	s := serveCommandLine(t, cmd, mark, "--workers", "1")
	<-time.After(sized(1500*time.Millisecond, 5*time.Second)) // it would come each second
	s.stop()
	m.said.await(t, 1, "STOPPING=1")
	got := slices.DeleteFunc(m.said.all(), func(line string) bool { return strings.HasPrefix(line, "STATUS=") })
	if len(got) != 2 {
		t.Errorf("it says %q, want READY=1 and STOPPING=1 alone", got)
	}
}

// checkReloading checks the n-th announcement of a reload: it has the time of
// the system's monotonic clock, and comes before the word that it is over.
func (m *manager) checkReloading(t *testing.T, n int, since time.Duration) {
	t.Helper()
	line := m.said.await(t, n, "RELOADING=1")
	_, number, _ := strings.Cut(line, "MONOTONIC_USEC=")
	micros, err := strconv.ParseInt(number, 10, 64)
	if at := time.Duration(micros) * time.Microsecond; err != nil || at < since.Truncate(time.Microsecond) || at > monotonic() {
		t.Errorf("it says %q, %v; want a time from %v to %v", line, err, since, monotonic())
	}
	var order []string
	for _, line := range m.said.all() {
		if !strings.HasPrefix(line, "WATCHDOG") && !strings.HasPrefix(line, "STATUS") {
			order = append(order, line[:strings.Index(line, "=")])
		}
	}
	want := []string{"READY"}
	for range n {
		want = append(want, "RELOADING", "READY")
	}
	if got := strings.Join(order, " "); got != strings.Join(want, " ") {
		t.Errorf("it says %s, want %s", got, want)
	}
}
