package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// A server with nothing but its defaults: what it says of itself.
func TestQuickStart(t *testing.T) {
	t.Parallel()
	s := serve(t)
	status, err := s.status()
	if err != nil {
		t.Fatal(err)
	}
	if status.PID != s.pid || status.Generation != 1 {
		t.Errorf("status: pid %d, generation %d; want %d, 1", status.PID, status.Generation, s.pid)
	}

	t.Run("start line", func(t *testing.T) {
		want := fmt.Sprintf("usher: serving on %s (master pid %d, %d workers)", s.address, s.pid, len(status.Workers))
		if s.started != want {
			t.Errorf("got %q, want %q", s.started, want)
		}
	})
	t.Run("status as a table", func(t *testing.T) {
		got := usher(t, "status", "--control", s.control)
		if got.code != 0 || got.stderr != "" {
			t.Fatalf("exit status %d, standard error %q", got.code, got.stderr)
		}
		want := []string{fmt.Sprintf("master pid %d, generation 1", s.pid), "listening on " + s.address, "0 active", "0 lost"}
		for _, part := range want {
			if !strings.Contains(got.stdout, part) {
				t.Errorf("no %q in:\n%s", part, got.stdout)
			}
		}
		for _, w := range status.Workers {
			if row := regexp.MustCompile(fmt.Sprintf(`(?m)^ *%d +%d +1 +ready +0 +0 +0 +0 +0$`, w.Slot, w.PID)); !row.MatchString(got.stdout) {
				t.Errorf("no row of worker %d in:\n%s", w.Slot, got.stdout)
			}
		}
	})
	t.Run("status as JSON", func(t *testing.T) { testJSONFields(t, s) })
	t.Run("version", func(t *testing.T) {
		got := usher(t, "version")
		if got.code != 0 || !strings.HasPrefix(got.stdout, "usher ") || strings.Count(got.stdout, "\n") != 1 {
			t.Errorf("got %+v, want one line", got)
		}
		if !strings.HasPrefix(got.stdout, "usher "+status.Version+" ") {
			t.Errorf("got %q, the status says %q", got.stdout, status.Version)
		}
		for _, args := range [][]string{{"--version"}, {"-v"}, {"serve", "--version"}} {
			if other := usher(t, args...); other != got {
				t.Errorf("usher %s: %+v, want %+v", strings.Join(args, " "), other, got)
			}
		}
	})
	t.Run("echo", func(t *testing.T) {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		checkEcho(t, conn, "hello\n")
	})
	s.stop()
}

// testJSONFields checks the names that other programs rely on.
func testJSONFields(t *testing.T, s *server) {
	result := usher(t, "status", "--json", "--control", s.control)
	if result.code != 0 || result.stderr != "" {
		t.Fatalf("exit status %d, standard error %q", result.code, result.stderr)
	}
	var got struct {
		whole, connections map[string]any
		listener, worker   map[string]any
	}
	if err := json.Unmarshal([]byte(result.stdout), &got.whole); err != nil {
		t.Fatal(err)
	}
	got.connections, _ = got.whole["connections"].(map[string]any) // a wrong type shows as no fields
	if list, _ := got.whole["listeners"].([]any); len(list) > 0 {
		got.listener, _ = list[0].(map[string]any)
	}
	if list, _ := got.whole["workers"].([]any); len(list) > 0 {
		got.worker, _ = list[0].(map[string]any)
	}
	tests := []struct {
		name string
		got  map[string]any
		want string
	}{
		{"whole", got.whole, "accepted_by connections counters cpu_s generation listeners pid restarts_by rss_bytes started uptime_s version wanted workers"},
		{"connections", got.connections, "accepted active closed cut lost moved queued refused"},
		{"listener", got.listener, "address name proxy tls"},
		{"worker", got.worker, "accepts_per_s bytes_in bytes_out connections counters cpu_s generation movable moved_in moved_out pid queued received restarts rss_bytes slot state staying uptime_s"},
	}
	for _, test := range tests {
		if diff := cmp.Diff(strings.Fields(test.want), slices.Sorted(maps.Keys(test.got))); diff != "" {
			t.Errorf("fields of %s, -want +got:\n%s", test.name, diff)
		}
	}
}

// checkEcho takes ownership of conn.
func checkEcho(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); string(got) != text || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, text)
	}
}

// What the README tells a stranger to type does work, in a fresh copy of the
// files under version control. The second command runs these very tests, so it
// is only looked for.
func TestReadmeQuickStart(t *testing.T) {
	const root = "../.."
	want := []string{"go run ./cmd/usher serve", "go test ./...", "go run ./cmd/usher serve --app files --root . --list"}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	for _, line := range quickStart(t, string(readme)) {
		command, _, _ := strings.Cut(line, "#")
		if command = strings.TrimSpace(command); command != "" {
			commands = append(commands, command)
		}
	}
	if diff := cmp.Diff(want, commands); diff != "" {
		t.Fatalf("the README's quick start, -want +got:\n%s", diff)
	}

	const address = "127.0.0.1:8888"
	probe, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("the default address is not free: %v", err)
	}
	_ = probe.Close() // nobody has connected
	fresh := freshCopy(t, root)
	runQuickStart(t, fresh, commands[0], address, func() {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		checkEcho(t, conn, "hello\n")
	})
	runQuickStart(t, fresh, commands[2], address, func() {
		answer, err := http.Get("http://" + address + "/README.md")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if got, err := io.ReadAll(answer.Body); string(got) != string(readme) || err != nil {
			t.Errorf("got %d bytes of README.md, %v; want %d", len(got), err, len(readme))
		}
		http.DefaultClient.CloseIdleConnections()
	})
}

// quickStart returns the lines of the first sh block under the heading Quick start.
func quickStart(t *testing.T, readme string) []string {
	t.Helper()
	match := regexp.MustCompile("(?ims)^#+ quick start$.*?^```sh$(.*?)^```$").FindStringSubmatch(readme)
	if match == nil {
		t.Fatal("the README has no sh block under a heading Quick start")
	}
	return strings.Split(match[1], "\n")
}

// freshCopy copies the files under version control to a new folder.
func freshCopy(t *testing.T, root string) string {
	t.Helper()
	names, err := exec.Command("git", "-C", root, "ls-files", "-z").Output()
	if err != nil {
		t.Skipf("not a checkout of git: %v", err)
	}
	fresh := t.TempDir()
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(fresh, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return fresh
}

// runQuickStart runs a command line, has talk talk to the server, and ends that by a
// signal to the master. Ctrl-C would reach go run too, which then fails whatever
// the master does.
func runQuickStart(t *testing.T, dir, line, address string, talk func()) {
	t.Helper()
	words := strings.Fields(line)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out, log *transcript
	cmd.Stdout, out = newTranscript(t)
	cmd.Stderr, log = newTranscript(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Stdout.(*os.File).Close() // the child has them now
	_ = cmd.Stderr.(*os.File).Close()
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) // the group is not reaped yet
			_ = cmd.Wait()                                // the state says all
		}
		if t.Failed() {
			t.Logf("standard error:\n%s", strings.Join(log.all(), "\n"))
		}
	})
	const buildLimit = 5 * time.Minute // the first line comes after all is compiled
	start := out.awaitWithin(t, buildLimit, 1, "usher: serving on "+address+" ")
	match := startLine.FindStringSubmatch(start)
	if match == nil {
		t.Fatalf("start line %q, want it to match %s", start, startLine)
	}
	talk()
	master, err := strconv.Atoi(match[2])
	if err != nil {
		t.Fatal(err)
	}
	kill(t, master, unix.SIGINT)
	if !out.waitEnd(limit) {
		t.Fatalf("still running %v after the interrupt", limit)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: %v, want exit status 0", line, err)
	}
}
