package main

import (
	"bytes"
	"fmt"
	"io"
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

// What the README.md tells a stranger to type does work, in a fresh clone, in order. One
// command runs these very tests, so it is only seen that the clone has all that they need.
func TestReadmeQuickStart(t *testing.T) {
	const address = "127.0.0.1:8888"
	blocks := pageBlocks(t, "README.md")["sh Quick start"]
	first, second, third := commandLines(blocks[0]), commandLines(blocks[1]), commandLines(blocks[2])
	want := [][]string{
		{"go run ./cmd/usher serve", "go test ./...", "go run ./cmd/usher serve --app files --root . --list"},
		{"kill -USR1 4711", "go run ./cmd/usher status", "kill -HUP 4711", "kill -TERM 4711"},
		{"go build -o usher ./cmd/usher"},
	}
	if diff := cmp.Diff(want, [][]string{first, second, third}); diff != "" {
		t.Fatalf("the README's quick start, -that of this story +that of the page:\n%s", diff)
	}
	probe, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("the default address is not free: %v", err)
	}
	_ = probe.Close() // nobody has connected
	r := &stranger{t, freshClone(t), shortDir(t)}
	r.serve(first[0], address, func(master, workers int) {
		c := talkTo(t, address)
		c.expect("hello", "hello")
		in := func(n int) string { return strings.ReplaceAll(second[n], "4711", strconv.Itoa(master)) }
		sees := func(generation, workers int) {
			row := regexp.MustCompile(fmt.Sprintf(`(?m)^ *\d+ +\d+ +%d +ready `, generation))
			until(t, "the status shows it", func() (bool, string) {
				status := r.run(in(1))
				_, table, _ := strings.Cut(status, "\n\n")
				return strings.Count(table, "\n") == workers+1 && len(row.FindAllString(table, -1)) == workers, status
			})
		}
		sees(1, workers)
		r.run(in(0))
		sees(1, workers+1)
		r.run(in(2))
		sees(2, workers+1)
		c.expect("still here", "still here")
		_ = c.Close() // all was read
		r.run(in(3))
	})
	r.run(strings.Replace(first[1], "go test", "go list -test -deps", 1))
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	r.serve(first[2], address, func(master, _ int) {
		answer, err := http.Get("http://" + address + "/README.md")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if got, err := io.ReadAll(answer.Body); string(got) != string(readme) || err != nil {
			t.Errorf("got %d bytes of README.md, %v; want %d", len(got), err, len(readme))
		}
		http.DefaultClient.CloseIdleConnections()
		kill(t, master, unix.SIGINT) // Ctrl-C would reach go run too, which then fails whatever the master does
	})
	r.run(third[0])
	if got := r.run("./usher version"); !strings.HasPrefix(got, "usher ") {
		t.Errorf("the binary says %q", got)
	}
}

// commandLines returns the lines of a block without comments.
func commandLines(block string) (lines []string) {
	for line := range strings.Lines(block) {
		line, _, _ = strings.Cut(line, " #")
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// freshClone clones the repository as it is at HEAD, with what is changed and not yet
// committed, but for files that are under no version control.
func freshClone(t *testing.T) string {
	t.Helper()
	git := func(input []byte, args ...string) ([]byte, error) {
		cmd := exec.Command("git", args...)
		// A hook of git's that runs this names another repository in these.
		cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GIT_") })
		cmd.Stdin = bytes.NewReader(input)
		return cmd.Output()
	}
	root, err := git(nil, "rev-parse", "--show-toplevel")
	if err != nil {
		t.Skipf("not a checkout of git: %v", err)
	}
	from, to := strings.TrimSpace(string(root)), filepath.Join(t.TempDir(), "usher")
	if _, err := git(nil, "clone", "--quiet", from, to); err != nil {
		t.Fatal(err)
	}
	changes, err := git(nil, "-C", from, "diff", "--binary", "HEAD")
	if err == nil && len(changes) > 0 {
		_, err = git(changes, "-C", to, "apply", "--whitespace=nowarn")
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// stranger has a clone, and no server but his own.
type stranger struct {
	t          *testing.T
	clone      string
	runtimeDir string
}

func (r *stranger) command(line string) *exec.Cmd {
	cmd := exec.Command("sh", "-eu", "-c", line)
	cmd.Dir = r.clone
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "USHER_") })
	cmd.Env = append(cmd.Env, runtimeVariable+"="+r.runtimeDir)
	return cmd
}

// run runs a command to its end, which must be a good one, and returns what it printed.
func (r *stranger) run(line string) string {
	r.t.Helper()
	cmd := r.command(line)
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("%s: %v\n%s%s", line, err, out, &errors)
	}
	return string(out)
}

// serve runs a command that serves, and has talk talk to the server, which ends it.
func (r *stranger) serve(line, address string, talk func(master, workers int)) {
	t := r.t
	t.Helper()
	cmd := r.command(line)
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
			t.Logf("%s: standard error:\n%s", line, strings.Join(log.all(), "\n"))
		}
	})
	const buildLimit = 5 * time.Minute // the first line comes after all is compiled
	start := out.awaitWithin(t, buildLimit, 1, "usher: serving on "+address+" ")
	match := startLine.FindStringSubmatch(start)
	if match == nil {
		t.Fatalf("start line %q, want it to match %s", start, startLine)
	}
	pageShows(t, "README.md", start)
	master, masterErr := strconv.Atoi(match[2])
	workers, workersErr := strconv.Atoi(match[3])
	if masterErr != nil || workersErr != nil {
		t.Fatal(masterErr, workersErr)
	}
	talk(master, workers)
	if !out.waitEnd(limit) {
		t.Fatalf("%s: still running %v after its end was asked for", line, limit)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: %v, want exit status 0", line, err)
	}
}

// The README.md's worker is built and served by its command, and the next program takes
// over who is connected.
func TestReadmeWorker(t *testing.T) {
	t.Parallel()
	const heading = " A worker of your own, and a deploy"
	blocks := pageBlocks(t, "README.md")
	source := blocks["go"+heading][0]
	build, ok := strings.CutSuffix(blocks["sh"+heading][0], " && usher serve --listen :9000 -- ./echo\n")
	if !ok || !strings.HasSuffix(build, "-o echo .") {
		t.Fatalf("the page makes and serves it by %q", blocks["sh"+heading][0])
	}
	dir := t.TempDir()
	program := goProgram(t, dir, "echo", source, build)
	s := serve(t, "--workers", "2", "--", program)
	c := talkTo(t, s.address)
	c.expect("hello", "hello")

	changed := strings.Replace(source, "c.Write(in) ", "c.Write([]byte(\"> \"))\n\t\tc.Write(in) ", 1)
	if changed == source {
		t.Fatal("the program does not write what it gets")
	}
	goProgram(t, dir, "echo", changed, build)
	c.expect("the old one yet", "the old one yet")
	s.reload()
	c.expect("hello again", "> hello again")
	_ = c.Close() // all was read
	s.stop()
}
