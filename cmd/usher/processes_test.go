package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// descriptors returns how many descriptors a process has open.
func descriptors(pid int) int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return -1 // it has ended
	}
	return len(entries)
}

// marked returns the live processes that have mark in their environment.
func marked(mark string) (found []int) {
	for _, pid := range processes() {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err == nil && bytes.Contains(environ, []byte(mark+"\x00")) {
			found = append(found, pid)
		}
	}
	return found
}

func killMarked(mark string) {
	for _, pid := range marked(mark) {
		_ = unix.Kill(pid, unix.SIGKILL) // it may have ended by itself
	}
}

// zombies returns the children of a process that have ended and are not reaped.
func zombies(parent int) (found []int) {
	for _, pid := range processes() {
		if stat, err := readStat(pid); err == nil && stat.parent == parent && stat.state == "Z" {
			found = append(found, pid)
		}
	}
	return found
}

func processes() (pids []int) {
	names, _ := filepath.Glob("/proc/[0-9]*") // the pattern is good
	for _, name := range names {
		if pid, err := strconv.Atoi(filepath.Base(name)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// stat is what /proc says of a process, or of a thread (proc_pid_stat(5)).
type stat struct {
	state  string
	parent int
	ticks  int // of processor time, its own and the kernel's for it
}

func readStat(pid int) (stat, error) {
	return readStatFile(fmt.Sprintf("/proc/%d/stat", pid))
}

func readStatFile(path string) (s stat, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	_, rest, _ := strings.Cut(string(content), ") ") // after the name, which may contain anything but does not
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return s, fmt.Errorf("%s: %q", path, content)
	}
	var numbers [3]int
	for i, field := range []string{fields[1], fields[11], fields[12]} {
		if numbers[i], err = strconv.Atoi(field); err != nil {
			return s, fmt.Errorf("%s: %w", path, err)
		}
	}
	return stat{state: fields[0], parent: numbers[0], ticks: numbers[1] + numbers[2]}, nil
}

// freeze stops a process, and returns when all its threads stand still: until
// then the kernel does not count it as stopped, and would not wake it if it lost
// its parent.
func freeze(t *testing.T, pid int) {
	t.Helper()
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	until(t, "the process stands still", func() (bool, string) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, thread := range threads {
			stat, err := readStatFile(thread)
			if err != nil || stat.state != "T" {
				return false, fmt.Sprint(thread, stat, err)
			}
		}
		return len(threads) > 0, fmt.Sprint(threads, err)
	})
}

func kill(t *testing.T, pid int, sig unix.Signal) {
	t.Helper()
	if err := unix.Kill(pid, sig); err != nil {
		t.Fatalf("%s to %d: %v", unix.SignalName(sig), pid, err)
	}
}

// readWakeups returns how often the threads of a process have waited, and gone
// on since (proc_pid_status(5)).
func readWakeups(pid int) (sum int, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return 0, err
	}
	for _, thread := range threads {
		content, err := os.ReadFile(thread)
		if err != nil {
			return 0, err
		}
		_, rest, found := strings.Cut(string(content), "\nvoluntary_ctxt_switches:")
		line, _, _ := strings.Cut(rest, "\n")
		n, err := strconv.Atoi(strings.TrimSpace(line))
		if !found || err != nil {
			return 0, fmt.Errorf("%s: no count in %q", thread, content)
		}
		sum += n
	}
	return sum, nil
}
