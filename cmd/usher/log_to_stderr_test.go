package main

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The log goes to /dev/stderr whatever that is: under a service manager it is a
// socket, which cannot be opened.
func TestLogToStandardErrorThatIsASocket(t *testing.T) {
	t.Parallel()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(shortDir(t), "log")
	if err := os.Symlink("/dev/stderr", link); err != nil {
		t.Fatal(err)
	}
	mine, its := os.NewFile(uintptr(pair[0]), "mine"), os.NewFile(uintptr(pair[1]), "its")
	journal, err := net.FileConn(mine)
	if err != nil {
		t.Fatal(err)
	}
	_ = mine.Close() // the connection has a duplicate
	cmd, mark := command()
	cmd.Stderr = its
	s := serveCommandLine(t, cmd, mark, "--workers", "1", "--log-file", link)
	_ = its.Close() // the master has it
	if got := s.ask("logs", "reopen"); got.code != 0 {
		t.Errorf("usher logs reopen: %+v", got)
	}
	s.signal(unix.SIGTERM)
	s.ends(0)
	var lines []string
	for in := bufio.NewScanner(journal); in.Scan(); {
		lines = append(lines, in.Text())
	}
	_ = journal.Close() // it is at its end
	if text := strings.Join(lines, "\n"); !strings.Contains(text, "worker ready") || !strings.Contains(text, "stop") {
		t.Errorf("the log is\n%s\nwant a worker in it, and the end", text)
	}
}

// A file that standard error was sent to is gone on with, not written over.
func TestLogToStandardErrorThatIsAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "log")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("before\n"); err != nil {
		t.Fatal(err)
	}
	cmd, mark := command()
	cmd.Stderr = file
	s := serveCommandLine(t, cmd, mark, "--workers", "1", "--log-file", "/dev/stderr")
	_ = file.Close() // the master has it
	s.signal(unix.SIGTERM)
	s.ends(0)
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(text), "before\n") || !strings.Contains(string(text), "worker ready") {
		t.Errorf("%q, %v; want what was there, and the log", text, err)
	}
}
