package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// A reload brings in force what the file says by now: workers, dispatch, program.
func TestReloadWorkersDispatchProgram(t *testing.T) {
	t.Parallel()
	s := serveConfigured(t, `app = "lines"`, `workers = 2`)

	s.write(`app = "lines"`, `workers = 3`)
	s.reload()
	s.until("three workers", ready(3))

	s.write(`app = "lines"`, `workers = 3`, `dispatch = "hash"`)
	s.reload()
	s.until("three workers", ready(3))
	first := dial(t, s.address)
	want := first.ask(t, "who")
	for range 6 {
		c := dial(t, s.address)
		if pid := c.ask(t, "who"); pid != want {
			t.Errorf("one address went to workers %d and %d under hash", want, pid)
		}
		c.leave(t)
	}
	first.leave(t)

	// A program with arguments, and then others.
	program := filepath.Join(t.TempDir(), "worker")
	script(t, program, fmt.Sprintf("#!/bin/sh\necho arguments: \"$@\" >&2\nexec '%s' worker \"$1\"\n", self()))
	for _, argument := range []string{"one", "two, three"} {
		s.write(`workers = 2`, fmt.Sprintf(`program = [%q, "lines", %q]`, program, argument))
		s.reload()
		s.until("two workers", ready(2))
		s.log.await(t, 2, "arguments: lines "+argument)
		c := dial(t, s.address)
		c.ask(t, "hello")
		c.leave(t)
	}

	s.write(`workers = 2`, `program = []`)
	s.reload()
	status := s.until("two workers", ready(2))
	if echoed, err := echo1(s.address); err != nil || echoed != "hello\n" {
		t.Errorf("the built-in echo answers %q, %v", echoed, err)
	}
	if status.Connections.Lost+status.Connections.Refused != 0 {
		t.Errorf("%+v, want none lost or refused", status.Connections)
	}
	s.stop()
}

// echo1 sends a line to an echo and returns what comes back.
func echo1(address string) (string, error) {
	c, err := connect(address)
	if err != nil {
		return "", err
	}
	defer c.conn.Close()
	if err := c.send("hello\n"); err != nil {
		return "", err
	}
	return c.in.ReadString('\n')
}

// The drain timeout of the new configuration holds for the workers that leave.
func TestReloadDrainTimeout(t *testing.T) {
	t.Parallel()
	program := fmt.Sprintf(`program = [%q, "worker-staying"]`, self())
	s := serveConfigured(t, program, `workers = 1`, `drain-timeout = "1h"`)
	c := dial(t, s.address)
	c.ask(t, "hello")
	s.write(program, `workers = 1`, `drain-timeout = "100ms"`)
	s.reload()
	if err := c.atEnd(); err != nil {
		t.Error(err)
	}
	_ = c.conn.Close() // it has ended
	s.stop()
}

// A reload sets an idle timeout for the connections of the new workers, those
// that moved there included.
func TestReloadIdleTimeout(t *testing.T) {
	t.Parallel()
	s := serveConfigured(t, `app = "lines"`, `workers = 1`)
	old := dial(t, s.address)
	old.ask(t, "hello")
	s.write(`app = "lines"`, `workers = 1`, `idle-timeout = "100ms"`)
	s.reload()
	c := dial(t, s.address)
	c.ask(t, "hello")
	if err := c.atEnd(); err != nil {
		t.Error(err)
	}
	if err := old.atEnd(); err != nil {
		t.Error(err)
	}
	_ = c.conn.Close() // they have ended
	_ = old.conn.Close()
	s.stop()
}

func TestReloadLogLevel(t *testing.T) {
	t.Parallel()
	s := serveConfigured(t, `workers = 1`, `log-level = "error"`)
	s.write(`workers = 1`, `log-level = "debug"`)
	s.reload()
	s.signal(unix.SIGTTOU)
	s.log.await(t, 1, "[DEBUG]", "SIGTTOU")
	s.write(`workers = 1`, `log-level = "error"`)
	s.reload()
	before := len(s.log.with("SIGTTOU"))
	s.signal(unix.SIGTTOU)
	s.write(`wat = 1`)
	s.ask("reload")
	s.log.await(t, 1, "[ERROR]", "wat")
	if after := len(s.log.with("SIGTTOU")); after != before {
		t.Errorf("a signal is logged at log-level error")
	}
	s.write(`workers = 1`)
	s.stop()
}

// Listeners come and go; one that is unchanged keeps its socket, on whichever
// port it is.
func TestReloadListeners(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "s")
	base := []string{`app = "lines"`, `workers = 1`}
	s := serveConfigured(t, append(base, fmt.Sprintf(`listen = ["127.0.0.1:0", "unix://%s?mode=0600"]`, path))...)
	before, err := s.status()
	if err != nil || len(before.Listeners) != 2 {
		t.Fatalf("%+v, %v; want two listeners", before.Listeners, err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("unix socket: %v, %v; want mode 0600", info, err)
	}
	old := dial(t, s.address)
	old.ask(t, "hello")

	s.write(append(base, `listen = ["127.0.0.1:0", "added=127.0.0.2:0"]`)...)
	s.reload()
	status := s.until("generation 2", func(status master.Status) bool { return status.Generation == 2 })
	addresses := make(map[string]string)
	for _, l := range status.Listeners {
		addresses[l.Name] = l.Address
	}
	if len(addresses) != 2 || addresses[""] != s.address || !strings.HasPrefix(addresses["added"], "127.0.0.2:") {
		t.Errorf("listeners %v; want %s and one more", addresses, s.address)
	}
	for _, address := range addresses {
		if err := shortVisit(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the Unix socket is left: %v", err)
	}

	s.write(append(base, `listen = ["renamed=127.0.0.1:0"]`)...)
	s.reload()
	status = s.until("generation 3", func(status master.Status) bool { return status.Generation == 3 })
	if diff := cmp.Diff([]master.ListenerStatus{{Name: "renamed", Address: s.address}}, status.Listeners); diff != "" {
		t.Errorf("listeners, -want +got:\n%s", diff)
	}
	refused(t, addresses["added"])
	old.ask(t, "still here")
	old.leave(t)

	s.write(append(base, fmt.Sprintf(`listen = ["127.0.0.1:0", "unix://%s?mode=0600"]`, path))...)
	s.reload()
	if status := s.until("ready", ready(1)); status.Connections.Lost != 0 {
		t.Errorf("%d connections lost", status.Connections.Lost)
	}
	s.stop()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the Unix socket is left: %v", err)
	}
}

// What the command line says wins at a reload too, and a relative path of the
// file is found wherever the master is started.
func TestReloadKeepsCommandLine(t *testing.T) {
	t.Parallel()
	directory := shortDir(t)
	path, control := filepath.Join(directory, "usher.toml"), filepath.Join(directory, "c")
	writeConfig(t, path, control, []string{`workers = 1`, `app = "echo"`})
	cmd, mark := command("serve", "--config", "usher.toml", "--app", "lines")
	cmd.Dir = directory
	s := launchAs(t, cmd, mark, control)
	s.awaitStart()
	writeConfig(t, path, control, []string{`workers = 2`, `app = "echo"`})
	s.reload()
	s.until("two workers", ready(2))
	c := dial(t, s.address)
	c.ask(t, "hello")
	c.leave(t)
	writeConfig(t, path, control, []string{`workers = 1`, `app = "echo"`})
	s.reload()
	s.stop()
}

// A reload whose workers do not come up leaves those that serve.
func TestReloadFails(t *testing.T) {
	t.Parallel()
	s := serveConfigured(t, `app = "lines"`, `workers = 2`)
	directory := t.TempDir()
	busy := busyAddress(t)
	c := dial(t, s.address)
	c.ask(t, "hello")
	for _, test := range []struct {
		line string
		want []string
	}{
		{fmt.Sprintf(`program = [%q, "worker-failing"]`, self()), []string{"exit status 7", "cannot open the database"}},
		{fmt.Sprintf("boot-timeout = \"200ms\"\nprogram = [%q, \"worker-mute\"]", self()), []string{"not ready within 200ms"}},
		{fmt.Sprintf(`program = ["%s/missing"]`, directory), []string{directory + "/missing", "no such file or directory"}},
		{fmt.Sprintf(`program = [%q]`, directory), []string{"start " + directory, "is a directory"}},
		{fmt.Sprintf(`listen = ["127.0.0.1:0", %q]`, busy), []string{busy, "address already in use"}},
		{`app = "lines`, []string{s.path + ":1: "}},
	} {
		s.write(test.line)
		s.refusesReload(test.want...)
		c.ask(t, "still here")
		if err := shortVisit(s.address); err != nil {
			t.Errorf("%s: %v", test.line, err)
		}
	}
	s.write(`app = "lines"`, `workers = 2`)
	s.reload()
	c.ask(t, "still here")
	c.leave(t)
	if status := s.until("ready", ready(2)); status.Connections.Lost+status.Connections.Refused != 0 {
		t.Errorf("%+v, want none lost or refused", status.Connections)
	}
	s.stop()
}

// Reloads that are asked for while one is under way are one.
func TestReloadsCollapse(t *testing.T) {
	t.Parallel()
	const more = 5
	directory := t.TempDir()
	gate, program := filepath.Join(directory, "gate"), filepath.Join(directory, "worker")
	// As long as the gate is there, a worker waits until something is written to it.
	script(t, program, fmt.Sprintf("#!/bin/sh\nif [ -e '%s' ]; then read line <'%s'; fi\nexec '%s' worker lines\n", gate, gate, self()))
	s := serveConfigured(t, `workers = 1`, fmt.Sprintf(`program = [%q]`, program))
	if err := unix.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}

	type answer struct {
		generation int
		err        error
	}
	answers := make(chan answer, more+1)
	reload := func() {
		var got struct{ Generation int }
		err := post(s.control, "/v1/reload", nil, &got)
		answers <- answer{got.Generation, err}
	}
	go reload()
	s.log.await(t, 1, "usher: reloading: ", "generation=2")
	for range more {
		go reload()
	}
	s.log.await(t, more, "another will follow")
	open, err := os.OpenFile(gate, os.O_WRONLY, 0) // waits for the worker to read
	if err != nil {
		t.Fatal(err)
	}
	err = os.Remove(gate)
	_, written := open.WriteString("\n")
	if err := errors.Join(err, written, open.Close()); err != nil {
		t.Fatal(err)
	}
	for range more + 1 {
		if got := <-answers; got.err != nil || got.generation < 2 || got.generation > 3 {
			t.Errorf("a reload answers %+v, want generation 2 or 3", got)
		}
	}
	s.until("generation 3", func(status master.Status) bool { return status.Generation == 3 && ready(1)(status) })
	if began := s.log.with("usher: reloading: "); len(began) != 2 {
		t.Errorf("%d reloads for %d requests, want 2", len(began), more+1)
	}
	s.stop()
}
