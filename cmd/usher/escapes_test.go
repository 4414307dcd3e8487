package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/sys/unix"
)

// Who reads no more of what a command prints hears no complaint.
func TestNobodyReads(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "1")
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"events"}, {"connections"}, {"config", "--json"}, {"stacks", "master"}, {"serve", "--help"}} {
		if args[1%len(args)] != "--help" {
			args = append(args, "--control", s.control)
		}
		cmd, _ := command(args...)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Close() // nobody reads
		var stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = w, &stderr
		err = cmd.Run()
		_ = w.Close() // it has nothing to flush
		if err == nil || stderr.Len() > 0 {
			t.Errorf("%q: %v, and says %q", args, err, stderr.String())
		}
	}
	s.stop()
}

// What a worker writes may be what a stranger has sent it. No command gives a terminal
// anything of it that acts there.
func TestNothingActsOnTheTerminal(t *testing.T) {
	t.Parallel()
	const hostile = `\033]0;title\007\033[2J\r hidden \342\200\256 turned \302\233 1m\377`
	folder := shortDir(t)
	program := filepath.Join(folder, "w")
	deploy(t, program, "worker-staying")
	s := serve(t, "--workers", "1", "--", program)
	script(t, program, "#!/bin/sh\nprintf '"+hostile+`\nsecond line\n' >&2; exit 7`+"\n")
	expect := func(name, text, want string) {
		t.Helper()
		acts := func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' }
		if strings.ContainsFunc(text, acts) || !strings.Contains(text, want) {
			t.Errorf("%s: %q, want %q, and nothing that acts", name, text, want)
		}
	}
	for _, command := range [][]string{{"reload"}, {"restart", "0"}, {"scale", "+1"}} {
		got := s.ask(command...)
		expect(command[0], got.stdout+got.stderr, "second line")
	}
	for _, command := range [][]string{{"status"}, {"events", "--no-follow"}} {
		got := s.ask(command...)
		expect(command[0], got.stdout+got.stderr, "title")
	}
	failed := usher(t, "serve", "--listen", "127.0.0.1:0", "--workers", "1", "--control", filepath.Join(folder, "other"), "--", program)
	expect("serve", failed.stdout+failed.stderr, "second line")
	named := filepath.Join(folder, "w\x1b[2J")
	deploy(t, named, "worker-staying")
	checked := usher(t, "check", "--listen", "127.0.0.1:0", "--control", filepath.Join(folder, "other"), "--", named)
	expect("check", checked.stdout+checked.stderr, "ok: would serve")
	s.signal(unix.SIGQUIT)
	s.ends(0)
	for _, line := range s.log.with("") {
		expect("the log", line, "")
	}
}
