package main

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What scripts/new-worker makes builds, passes its tests, and serves; a connection
// goes on through a reload, as its README says.
func TestNewWorker(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "My worker")
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.Command(name, args...)
		if name == "go" {
			cmd.Dir = dir
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
	}
	run("../../scripts/new-worker", dir)
	run("go", "vet", "./...")
	run("go", "test", "./...")
	run("go", "build", "-o", "worker", ".")
	if _, err := os.Stat(filepath.Join(dir, "README.md")); err != nil {
		t.Error(err)
	}
	if err := exec.Command("../../scripts/new-worker", dir).Run(); err == nil {
		t.Error("it wrote over what was there")
	}
	if out, err := exec.Command("../../scripts/new-worker", "--help").CombinedOutput(); err == nil || !strings.Contains(string(out), "usage:") {
		t.Errorf("--help: %v, %s", err, out)
	}

	s := serve(t, "--workers", "1", "--", filepath.Join(dir, "worker"))
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "hello\nagain\n"); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	expect := func(want string) {
		t.Helper()
		if got, err := in.ReadString('\n'); got != want || err != nil {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
	expect("1 hello\n")
	expect("2 again\n")
	if got := usher(t, "reload", "--control", s.control); got.code != 0 {
		t.Fatalf("reload: %+v", got)
	}
	if _, err := io.WriteString(conn, "still here\n"); err != nil {
		t.Fatal(err)
	}
	expect("3 still here\n")
	_ = conn.Close() // all was read
	s.stop()
}
