package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// runsFile returns which file a process runs, as the kernel has it.
func runsFile(t *testing.T, pid int) (inode uint64) {
	t.Helper()
	info, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		t.Fatal(err)
	}
	var stat unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/exe", pid), &stat); err != nil {
		t.Fatal(info, err)
	}
	return stat.Ino
}

// successor kills a worker and returns who follows.
func (s *server) successor() int {
	s.t.Helper()
	victim := pids(s.until("ready", allReady))[0]
	kill(s.t, victim, unix.SIGKILL)
	status := s.until("a successor", func(status master.Status) bool {
		return allReady(status) && !slices.Contains(pids(status), victim)
	})
	return pids(status)[0]
}

// The program's file is replaced, by a broken one and by none: a worker that
// crashes, or is added, is of the program that the others are, through an upgrade,
// too. A reload takes what is there, and its own is held from then on.
func TestProgramOfAGenerationIsOne(t *testing.T) {
	t.Parallel()
	file, worker := install(t), install(t)
	broken := "#!/bin/sh\nexit 9\n"
	s := file.serve("--workers", "1", "--", worker.path, "worker", "lines")
	first := runsFile(t, pids(s.now())[0])
	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pids(s.now())[0]))
	if err != nil {
		t.Fatal(err)
	}
	for _, upgraded := range []bool{false, true} {
		script(t, worker.path, broken)
		if upgraded {
			if got := s.ask("upgrade"); got.code != 0 {
				t.Fatalf("%+v", got)
			}
		}
		pid := s.successor()
		if got := runsFile(t, pid); got != first {
			t.Errorf("the successor runs file %d, want %d", got, first)
		}
		if got, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); string(got) != string(arguments) || err != nil {
			t.Errorf("its arguments are %q, %v; want %q", got, err, arguments)
		}
		s.refusesReload("exit status 9")
		if err := os.Remove(worker.path); err != nil {
			t.Fatal(err)
		}
		if got := s.ask("scale", "+1"); got.code != 0 {
			t.Errorf("usher scale +1: %+v", got)
		}
		for _, pid := range pids(s.until("two workers", ready(2))) {
			if got := runsFile(t, pid); got != first {
				t.Errorf("a worker runs file %d, want %d", got, first)
			}
		}
		s.refusesReload("no such file")
		if got := s.ask("scale", "-1"); got.code != 0 {
			t.Errorf("usher scale -1: %+v", got)
		}
		s.until("one worker", ready(1))
	}
	worker.replace()
	s.reload()
	second := runsFile(t, pids(s.until("one worker", ready(1)))[0])
	if second == first {
		t.Error("a reload goes on with the old file")
	}
	if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", s.successor())); exe != worker.path || err != nil {
		t.Errorf("a successor of the file that is there runs %s, %v; want its path", exe, err)
	}
	s.stop()
}

// A program by a symlink, as by its path.
func TestProgramBehindASymlink(t *testing.T) {
	t.Parallel()
	first, second := install(t), install(t)
	link := filepath.Join(shortDir(t), "current")
	if err := os.Symlink(first.path, link); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--workers", "1", "--", link, "worker", "lines")
	before := runsFile(t, pids(s.now())[0])
	if err := os.Symlink(second.path, link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
	if got := runsFile(t, s.successor()); got != before {
		t.Errorf("the successor runs file %d, want %d", got, before)
	}
	s.reload()
	if got := runsFile(t, pids(s.until("one worker", ready(1)))[0]); got == before {
		t.Error("a reload goes on with the old file")
	}
	s.stop()
}

// An executable that may not be read is held like any other.
func TestProgramThatCannotBeRead(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	worker := install(t)
	if err := os.Chmod(filepath.Dir(worker.path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(worker.path, 0o711); err != nil {
		t.Fatal(err)
	}
	control := filepath.Join(u.tmp, "c")
	s := u.serve(control, "--control", control, "--", worker.path, "worker", "lines")
	script(t, worker.path, "#!/bin/sh\nexit 9\n")
	if err := os.Chmod(worker.path, 0o711); err != nil {
		t.Fatal(err)
	}
	s.successor()
	s.stop()
}

// A script is started by its path each time, as is said: what is there by then runs.
func TestScriptIsNotHeld(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "worker")
	text := func(version string) string {
		return fmt.Sprintf("#!/bin/sh\necho version %s >&2\nexec '%s' worker lines\n", version, self())
	}
	script(t, path, text("one"))
	s := serve(t, "--workers", "1", "--", path)
	script(t, path, text("two"))
	s.successor()
	s.log.await(t, 1, "version two")
	if n := len(s.log.with("worker output", "version one")); n != 1 {
		t.Errorf("%d started of version one: %s", n, strings.Join(s.log.with("version"), "\n"))
	}
	s.stop()
}
