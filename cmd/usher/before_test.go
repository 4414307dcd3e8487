package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// before are the commits of the trees that servers are upgraded from.
var before = []struct{ name, commit string }{
	{"format 1", "5dcfcbe"}, // the last one that hands it over
	{"format 2", "7708740"}, // the last one whose master is one package
	{"web", "29e3603"},      // the last one whose workers count nothing behind the entries
}

// buildBefore returns the path of the test binary of a tree before this one, which
// is the command and its worker programs as they were. It skips the test where
// that cannot be had: the clone may be shallow.
func buildBefore(t *testing.T, commit string) string {
	t.Helper()
	for _, tool := range []string{"git", "tar", "go"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the tree before this one cannot be built: %v", err)
		}
	}
	dir := t.TempDir()
	archive := filepath.Join(dir, "before.tar")
	if got, err := exec.Command("git", "-C", "../..", "archive", "--output", archive, commit).CombinedOutput(); err != nil {
		t.Skipf("the tree before this one is not in the repository's history: git archive %s: %v: %s", commit, err, got)
	}
	binary := filepath.Join(dir, "before")
	build := exec.Command("go", "test", "-c", "-trimpath", "-o", binary, "./cmd/usher") // -trimpath: what is compiled is cached, whatever the folder
	build.Dir = dir
	for _, step := range []*exec.Cmd{exec.Command("tar", "-x", "-f", archive, "-C", dir), build} {
		if got, err := step.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", step, err, got)
		}
	}
	return binary
}

// aged is a server that was started as a tree before this one has it.
type aged struct {
	*server
	file    *program // that the master was started from
	workers string   // the worker program, likewise a file to be replaced
}

// serveBefore starts one whose worker program is a helper of the old binary.
func serveBefore(t *testing.T, old, helper string, args ...string) *aged {
	t.Helper()
	dir := shortDir(t)
	a := &aged{file: &program{t, filepath.Join(dir, "usher")}, workers: filepath.Join(dir, "worker")}
	text, err := os.ReadFile(old)
	if err != nil {
		t.Fatal(err)
	}
	script(t, a.file.path, string(text))
	a.deploy(old, helper)
	a.server = a.file.serve(append(args, "--", a.workers)...)
	return a
}

// deploy makes the worker program a helper of a test binary.
func (a *aged) deploy(binary, helper string) {
	a.file.t.Helper()
	script(a.file.t, a.workers, fmt.Sprintf("#!/bin/sh\nexec %s %s\n", binary, helper))
}

// upgrade has the master become this tree's program, and checks that all is as it
// was. meanwhile, if it is not nil, is called once the master has begun: then all
// need not be.
func (a *aged) upgrade(meanwhile func()) {
	t := a.t
	t.Helper()
	was, err := a.status()
	if err != nil {
		t.Fatal(err)
	}
	a.file.replace()
	a.signal(unix.SIGUSR2)
	if meanwhile != nil {
		a.log.await(t, 1, "upgrading:")
		meanwhile()
	}
	a.log.await(t, 1, "upgraded:")
	a.runs(a.file)
	is, err := a.status()
	if err != nil {
		t.Fatal(err)
	}
	same := is.Generation == was.Generation && slices.Equal(pids(is), pids(was)) && is.Connections == was.Connections
	if is.PID != was.PID || !slices.Equal(is.Listeners, was.Listeners) || meanwhile == nil && !same {
		t.Errorf("the status is %+v, was %+v", is, was)
	}
}

// renew replaces the workers by a helper of this tree, and returns when they are
// alone.
func (a *aged) renew(helper string) {
	t := a.t
	t.Helper()
	a.deploy(self(), helper)
	until(t, "a reload to this tree's workers", func() (bool, string) {
		got := a.ask("reload")
		return got.code == 0, got.stderr
	})
	status := a.until("the old workers are gone", func(status master.Status) bool { return allReady(status) && lingering(status) == 0 })
	for _, pid := range pids(status) {
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); exe != self() {
			t.Errorf("worker %d runs %s (%v), want %s", pid, exe, err, self())
		}
	}
}

// finish ends the story, once its clients have left, with n workers: the server
// holds no more than one that was started like this.
func (a *aged) finish(n int, args ...string) {
	t := a.t
	t.Helper()
	a.until("at rest", func(status master.Status) bool {
		return ready(n)(status) && status.Connections.Active+status.Connections.Queued == 0
	})
	fresh := serve(t, append(args, "--workers", fmt.Sprint(n), "--", a.workers)...)
	until(t, "descriptors as of one that was started", func() (bool, string) {
		is, want := a.descriptors(), fresh.descriptors()
		return is == want, fmt.Sprintf("%d, want %d", is, want)
	})
	for _, s := range []*server{fresh, a.server} {
		s.signal(unix.SIGTERM)
		s.ends(0)
	}
}

// tellWorkers sends a signal to processes.
func tellWorkers(t *testing.T, pids []int, sig unix.Signal) {
	t.Helper()
	for _, pid := range pids {
		if err := unix.Kill(pid, sig); err != nil {
			t.Fatalf("%s to worker %d: %v", unix.SignalName(sig), pid, err)
		}
	}
}

// complete says that so many workers are ready and there is no other, that so many
// clients are connected, and that none was ever lost.
func complete(workers, clients int) func(master.Status) bool {
	return func(status master.Status) bool {
		return ready(workers)(status) && int(status.Connections.Active) == clients && status.Connections.Lost == 0
	}
}
