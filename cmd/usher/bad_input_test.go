package main

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// What the user typed is wrong: nothing is started, and one line says what and
// what to do.
func TestBadInput(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want []string // in the one line
	}{
		{"no command", nil, []string{"serve", "check", "status", "usher --help"}},
		{"unknown command", []string{"server"}, []string{"unexpected argument server", "usher --help"}},
		{"unknown flag", []string{"serve", "--wat"}, []string{"unknown flag --wat", "; see usher serve --help"}},
		{"unknown flag of status", []string{"status", "--wat"}, []string{"unknown flag --wat", "; see usher status --help"}},
		{"unknown flag of a command within another", []string{"logs", "reopen", "--wat"}, []string{"unknown flag --wat", "; see usher logs reopen --help"}},
		{"slot not a number", []string{"restart", "x"}, []string{`<slot>: expected a worker's slot, a number that usher status lists, but got "x"`, "; see usher restart --help"}},
		{"flag without a value", []string{"serve", "--listen"}, []string{"--listen", "missing value"}},
		{"unknown app", []string{"serve", "--app", "chat"}, []string{"--app", `"echo","files","hello","lines"`, `"chat"`}},
		{"files without a root", []string{"serve", "--app", "files"}, []string{"app is files", "no root", "--root FOLDER"}},
		{"root without files", []string{"serve", "--root", "."}, []string{"root is .", "the app is echo", "--app files"}},
		{"list without files", []string{"serve", "--list"}, []string{"list is set", "the app is echo", "--app files"}},
		{"root that is not there", []string{"serve", "--app", "files", "--root", "nowhere"}, []string{"root ", "/nowhere", "no such file"}},
		{"root that is a file", []string{"check", "--app", "files", "--root", "main.go"}, []string{"main.go is not a folder", "name the one"}},
		{"workers not a number", []string{"serve", "--workers", "many"}, []string{"--workers", `"many"`, "int"}},
		{"no workers", []string{"serve", "--workers", "0"}, []string{"workers is 0", "at least 1"}},
		{"negative workers", []string{"serve", "--workers=-1"}, []string{"workers is -1", "at least 1"}},
		{"max-workers below workers", []string{"serve", "--workers", "5", "--max-workers", "2"},
			[]string{"max-workers is 2", "at least workers, which is 5"}},
		{"drain-timeout not a duration", []string{"serve", "--drain-timeout", "soon"}, []string{"--drain-timeout", `"soon"`, "duration"}},
		{"negative drain-timeout", []string{"serve", "--drain-timeout=-1s"}, []string{"drain-timeout is -1s", "0 or more"}},
		{"negative boot-timeout", []string{"serve", "--boot-timeout=-1s"}, []string{"boot-timeout is -1s", "more than 0"}},
		{"unknown log-level", []string{"serve", "--log-level", "loud"}, []string{"--log-level", `"trace","debug","info","warn","error"`, `"loud"`}},
		{"unknown log-format", []string{"serve", "--log-format", "xml"}, []string{"--log-format", `"text","json"`, `"xml"`}},
		{"address without a port", []string{"serve", "--listen", "localhost"}, []string{`"localhost"`, "want HOST:PORT", "127.0.0.1:8888"}},
		{"port out of range", []string{"serve", "--listen", "127.0.0.1:65536"}, []string{`port "65536"`, "0 to 65535"}},
		{"port not a number", []string{"serve", "--listen", "127.0.0.1:http?"}, []string{`port "http"`, "0 to 65535"}},
		{"unknown scheme", []string{"serve", "--listen", "udp://127.0.0.1:0"}, []string{`unknown kind "udp"`, "want tcp, tcp4, "}},
		{"access log in no folder", []string{"serve", "--access-log", "no/access.log"}, []string{"access-log: open ", "/no/access.log: no such file or directory"}},
		{"access log in no folder, checked", []string{"check", "--access-log", "no/access.log"}, []string{"access-log: open ", "/no/access.log: no such file or directory"}},
		{"access log below a file, checked", []string{"check", "--access-log", "main.go/access.log"}, []string{"access-log: open ", "/main.go/access.log: not a directory"}},
		{"program without --", []string{"serve", "./echo"}, []string{"unexpected argument ./echo", "after --"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			args := test.args
			if len(args) > 0 && args[0] == "serve" { // so that, were it taken, it would be nobody's else
				args = append([]string{"serve", "--control", filepath.Join(shortDir(t), "c")}, args[1:]...)
			}
			got := usher(t, args...)
			checkComplaint(t, got, exitUsage, test.want...)
		})
	}
}

// checkComplaint checks that a command failed with one line that has all the parts.
func checkComplaint(t *testing.T, got result, code int, parts ...string) {
	t.Helper()
	if got.code != code || got.stdout != "" {
		t.Errorf("exit status %d, standard output %q; want %d and nothing", got.code, got.stdout, code)
	}
	if !strings.HasPrefix(got.stderr, "usher: ") || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("standard error %q, want one line that begins with usher:", got.stderr)
	}
	for _, part := range parts {
		if !strings.Contains(got.stderr, part) {
			t.Errorf("standard error %q, want it to say %q", got.stderr, part)
		}
	}
}

func TestStatusWithoutMaster(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "c")
	got := usher(t, "status", "--control", path)
	checkComplaint(t, got, exitFailed, "no master answers on "+path, "usher serve", "--control")
}

// busyAddress is one that somebody else listens on.
func busyAddress(t *testing.T) string {
	t.Helper()
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = held.Close() }) // nobody has connected
	return held.Addr().String()
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	address := busyAddress(t)
	got := usher(t, "serve", "--control", filepath.Join(shortDir(t), "c"), "--listen", address)
	checkComplaint(t, got, exitFailed, address, "address already in use", "--listen")
}
