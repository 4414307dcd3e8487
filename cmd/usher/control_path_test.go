package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Two masters cannot have one control socket.
func TestControlHeldByLiveMaster(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "1")
	got := usher(t, "serve", "--listen", "127.0.0.1:0", "--control", s.control)
	checkComplaint(t, got, exitFailed, s.control, fmt.Sprintf("live master (pid %d)", s.pid), "--control")
	s.until("the first is as it was", ready(1))
	s.stop()
}

// What a dead master left is replaced.
func TestControlLeftByDeadMaster(t *testing.T) {
	t.Parallel()
	dead := serve(t, "--workers", "1")
	dead.signal(unix.SIGKILL)
	dead.waitExit()
	dead.leavesNothing()
	if _, err := os.Lstat(dead.control); err != nil {
		t.Fatalf("a killed master left no control socket: %v", err)
	}
	s := serve(t, "--workers", "1", "--control", dead.control)
	info, err := os.Lstat(s.control)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("control socket: %v, %v; want mode 0600", info, err)
	}
	s.stop()
}

// A file that is there for another reason is left alone.
func TestControlIsAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "precious")
	const content = "precious"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	got := usher(t, "serve", "--listen", "127.0.0.1:0", "--control", path)
	checkComplaint(t, got, exitFailed, path, "not a socket", "--control")
	if left, err := os.ReadFile(path); string(left) != content || err != nil {
		t.Errorf("the file has %q, %v; want it untouched", left, err)
	}
}
