package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// wrongConfig is a file that must not be taken, and what is said of it.
type wrongConfig struct {
	name string
	line string   // the first of the file
	want []string // besides the path
}

var wrongConfigs = []wrongConfig{
	{"unknown key", `wat = 1`, []string{":1: ", `unknown key "wat"`, "flag of usher serve"}},
	{"key in another spelling", `max_conns = 1`, []string{":1: ", `unknown key "max_conns"`, "want max-conns"}},
	{"config in the file", `config = "other"`, []string{":1: ", `unknown key "config"`}},
	{"table", `limits.max-conns = 1`, []string{`unknown key "limits"`}},
	{"setting as a table", `workers = {n = 1}`, []string{":1: ", "workers is a table, want a whole number"}},
	{"not TOML", `workers = `, []string{":1: ", "value"}},
	{"value left open", `app = "lines`, []string{":1: "}},
	{"set twice", "workers = 1\nworkers = 2", []string{":2: ", "workers"}},
	{"text for a number", `workers = "2"`, []string{":1: ", `workers is "2", want a whole number`}},
	{"fraction for a number", `workers = 1.5`, []string{":1: ", `workers is 1.5, want a whole number`}},
	{"number too large", `workers = 99999999999999999999`, []string{":1: ", "99999999999999999999"}},
	{"no workers", `workers = 0`, []string{":1: ", "workers is 0, want at least 1"}},
	{"max-workers below workers", "max-workers = 2\nworkers = 3", []string{":1: ", "max-workers is 2", "which is 3"}},
	{"number for a duration", `drain-timeout = 30`, []string{":1: ", `drain-timeout is 30, want a duration such as "30s"`}},
	{"duration without a unit", `drain-timeout = "30"`, []string{":1: ", `drain-timeout is "30", want a duration such as "30s"`}},
	{"negative drain-timeout", `drain-timeout = "-1s"`, []string{":1: ", "drain-timeout is -1s, want 0 or more"}},
	{"negative idle-timeout", `idle-timeout = "-1s"`, []string{":1: ", "idle-timeout is -1s, want 0 or more"}},
	{"hardly any worker-memory", `worker-memory = "64KiB"`, []string{":1: ", "worker-memory is 65536 bytes, want 0 or at least 1048576"}},
	{"negative worker-memory", `worker-memory = -1`, []string{":1: ", "worker-memory is -1, want 0 or more"}},
	{"negative queue-timeout", `queue-timeout = "-1s"`, []string{":1: ", "queue-timeout is -1s, want 0 or more"}},
	{"negative boot-timeout", `boot-timeout = "-1s"`, []string{":1: ", "boot-timeout is -1s, want more than 0"}},
	{"short hang-timeout", `hang-timeout = "1s"`, []string{":1: ", "hang-timeout is 1s, want 0 or at least 2s"}},
	{"negative max-conns", `max-conns = -1`, []string{":1: ", "max-conns is -1, want 0 or more"}},
	{"negative max-conns-per-ip", `max-conns-per-ip = -1`, []string{":1: ", "max-conns-per-ip is -1, want 0 or more"}},
	{"negative max-conns-per-worker", `max-conns-per-worker = -1`, []string{":1: ", "max-conns-per-worker is -1, want 0 or more"}},
	{"negative accept-rate", `accept-rate = -1`, []string{":1: ", "accept-rate is -1, want 0 or more"}},
	{"negative backlog", `backlog = -1`, []string{":1: ", "backlog is -1, want 0 or more"}},
	{"negative recycle-conns", `recycle-conns = -1`, []string{":1: ", "recycle-conns is -1, want 0 or more"}},
	{"unknown dispatch", `dispatch = "random"`, []string{":1: ", `dispatch is "random", want one of hash, least, queue, round-robin`}},
	{"number for a choice", `dispatch = 1`, []string{":1: ", "dispatch is 1, want one of hash, least"}},
	{"unknown overload", `overload = "drop"`, []string{":1: ", `overload is "drop", want one of wait, close`}},
	{"unknown app", `app = "chat"`, []string{":1: ", `app is "chat", want one of echo, files, hello, lines`}},
	{"unknown log-level", `log-level = "loud"`, []string{":1: ", `log-level is "loud", want one of trace, debug`}},
	{"size in an unknown unit", `recycle-rss = "12Q"`, []string{":1: ", `recycle-rss is "12Q", want a size such as "512MiB"`}},
	{"text for a list", `listen = ":0"`, []string{":1: ", `listen is ":0", want a list of strings`}},
	{"number in a list", `program = ["a", 1]`, []string{":1: ", `program is ["a", 1], want a list of strings`}},
	{"no listener", `listen = []`, []string{":1: ", "listen is empty"}},
	{"bad address", `listen = ["localhost"]`, []string{":1: ", `"localhost"`, "want HOST:PORT"}},
	{"empty program", `program = [""]`, []string{":1: ", "program is empty"}},
	{"unknown access-log-format", `access-log-format = "short"`, []string{":1: ", `access-log-format is "short", want one of combined, json`}},
	{"zero byte in a program", `program = ["a\u0000"]`, []string{":1: ", "want strings without a zero byte"}},
}

// A wrong file: nothing is started, and one line says where and what.
func TestWrongConfig(t *testing.T) {
	tests := append(slices.Clone(wrongConfigs), []wrongConfig{
		{"access log in no folder", "\naccess-log = \"no/access.log\"", []string{":2: ", "access-log: open ", "/no/access.log: no such file or directory"}},
		{"access log that is a folder", `access-log = "."`, []string{":1: ", "access-log: open ", ": is a directory"}},
	}...)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(shortDir(t), "usher.toml")
			if err := os.WriteFile(path, []byte(test.line+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			want := append([]string{"usher: " + path}, test.want...)
			for _, command := range []string{"serve", "check"} {
				got := usher(t, command, "--control", filepath.Join(filepath.Dir(path), "c"), "--config", path)
				checkComplaint(t, got, exitUsage, want...)
			}
		})
	}
}

// The same at a reload: all stays as it is.
func TestWrongConfigAtReload(t *testing.T) {
	t.Parallel()
	s := serveConfigured(t, `app = "lines"`, `workers = 1`)
	c := dial(t, s.address)
	for _, test := range wrongConfigs {
		// Without the other lines of a story, which would have errors of their own.
		if err := os.WriteFile(s.path, []byte(test.line+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Log(test.name)
		s.refusesReload(append([]string{"usher: reload refused, all stays as it is: " + s.path}, test.want...)...)
		c.ask(t, test.name)
	}
	if err := os.Remove(s.path); err != nil {
		t.Fatal(err)
	}
	s.refusesReload(s.path, "no such file or directory")
	c.leave(t)
	s.stop()
}

func TestConfigCannotBeRead(t *testing.T) {
	t.Parallel()
	directory := shortDir(t)
	long := filepath.Join(directory, "long")
	if err := os.WriteFile(long, []byte(strings.Repeat("#", maxConfigFile+1)), 0o644); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(directory, "missing")
	for path, want := range map[string]string{
		missing: "no such file or directory", directory: "is a directory", long: "longer than 1048576 bytes",
	} {
		got := usher(t, "serve", "--control", filepath.Join(directory, "c"), "--config", path)
		checkComplaint(t, got, exitUsage, path, want)
	}
}

// A wrong value of the environment is told by the variable's name.
func TestWrongEnvironment(t *testing.T) {
	t.Setenv("USHER_MAX_CONNS", "-1")
	s := newSources([]string{"check"})
	r, err := s.read()
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.config(s)
	if want := "USHER_MAX_CONNS: max-conns is -1, want 0 or more"; err == nil || err.Error() != want || exitStatus(err) != exitUsage {
		t.Errorf("%v, want %q and exit status %d", err, want, exitUsage)
	}
}

// What is right is told in one line, and nothing is started.
func TestCheck(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "usher.toml")
	text := fmt.Sprintf("workers = 3\nlisten = [%q, %q]\nprogram = [%q, %q]\ncontrol = %q\n", "127.0.0.1:0", "web=:80", self(), "worker-mute", filepath.Join(filepath.Dir(path), "c"))
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	want := result{0, fmt.Sprintf("ok: would serve on 127.0.0.1:0, web=:80 with 3 workers of %s worker-mute\n", self()), ""}
	if got := usher(t, "check", "--config", path); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	got := usher(t, "check", "--config", path, "--", filepath.Join(filepath.Dir(path), "missing"))
	checkComplaint(t, got, exitUsage, "program", "no such file or directory")
	got = usher(t, "check", "--config", path, "--workers", "0")
	checkComplaint(t, got, exitUsage, "workers is 0", "at least 1")
}
