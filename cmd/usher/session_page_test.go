package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/usher-go/usher/internal/pagetest"
	"github.com/usher-go/usher/master"
)

// sessionCommands are what an operator types in docs/operations.md.
var sessionCommands = []string{
	"cat usher.toml",
	"usher serve --config usher.toml --log-file usher.log &",
	"usher wait --ready",
	"usher status",
	"usher scale +1",
	"usher reload",
	`echo 'drain-timeout = "30"' >> usher.toml   # a mistake`,
	"usher reload",
	"echo $?",
	"sed -i 's/30/30s/' usher.toml",
	"mv worker.next worker   # a program that does not start",
	"usher reload",
	"echo $?",
	"usher status",
	"usher events --no-follow | grep -v slot=",
	"usher events --no-follow | grep 'slot=0 generation=1'",
	"usher stop",
}

// What docs/operations.md has of a terminal is what a real server says to these commands,
// in a real shell. With -update that is written.
func TestOperationsSession(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"cat", "sed", "mv", "grep"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	s := startShell(t)
	var clients []*client
	var page strings.Builder
	for _, line := range sessionCommands {
		switch {
		case line == "usher status" && clients == nil:
			clients = s.connect(6)
		case line == "usher stop":
			for _, c := range clients {
				_ = c.conn.Close() // it has nothing more to say
			}
		}
		fmt.Fprintf(&page, "$ %s\n%s", line, s.run(line))
		if line == "usher reload" { // those that leave, or did not get ready, are gone when its next command comes
			s.server().until("three workers and no others", ready(3))
		}
	}
	s.leave()
	pagetest.PartLike(t, "../../docs/operations.md", "session", "```console\n"+page.String()+"```\n", *update, settled)
}

// shell is one of an operator, in a folder with a configuration, and usher on its PATH.
type shell struct {
	*testing.T
	cmd      *exec.Cmd
	dir      string
	control  string
	in       io.WriteCloser
	out      *transcript
	commands int
	seen     int    // lines of out
	address  string // once it serves
}

// The page names no folder of a test's, and no port that was free.
const (
	sessionDir     = "/srv/app"
	sessionAddress = "127.0.0.1:9000"
)

func startShell(t *testing.T) *shell {
	t.Helper()
	s := &shell{T: t, dir: shortDir(t)}
	s.control = filepath.Join(s.dir, "c")
	writeFile(t, filepath.Join(s.dir, "usher.toml"), "listen = [\"127.0.0.1:0\"]\nworkers = 2\nprogram = [\"./worker\"]\n")
	script(t, filepath.Join(s.dir, "worker"), "#!/bin/sh\nexec '"+self()+"' worker lines\n")
	script(t, filepath.Join(s.dir, "worker.next"), "#!/bin/sh\necho cannot open the database >&2\nexit 1\n")
	bin := t.TempDir()
	if err := os.Symlink(self(), filepath.Join(bin, "usher")); err != nil {
		t.Fatal(err)
	}
	as, mark := command()
	s.cmd = exec.Command("sh")
	s.cmd.Dir = s.dir
	s.cmd.Env = append(as.Env, "PATH="+bin+":"+os.Getenv("PATH"), "USHER_CONTROL="+s.control)
	in, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	mine, out := newTranscript(t)
	s.in, s.out = in, out
	s.cmd.Stdout, s.cmd.Stderr = mine, mine
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = mine.Close() // the shell has it now
	t.Cleanup(func() {
		killMarked(mark)
		if s.cmd.ProcessState == nil {
			_ = s.cmd.Wait() // the story has failed already
		}
		if t.Failed() {
			t.Logf("the terminal:\n%s", strings.Join(out.all(), "\n"))
		}
	})
	return s
}

// run has the shell run a command, and returns what that printed, in the words of the page.
func (s *shell) run(line string) string {
	s.Helper()
	s.commands++
	end := fmt.Sprintf("-- end of command %d", s.commands)
	// The command's status is there for the next one.
	if _, err := fmt.Fprintf(s.in, "%s\nstatus=$?; echo '%s'; (exit $status)\n", line, end); err != nil {
		s.Fatal(err)
	}
	s.out.await(s.T, 1, end)
	if strings.HasSuffix(line, "&") { // what runs on says that it has begun
		match := startLine.FindStringSubmatch(s.out.await(s.T, 1, "usher: serving on"))
		if match == nil {
			s.Fatal("it has no such line")
		}
		s.address = match[1]
	}
	all := s.out.all()
	var printed strings.Builder
	for _, text := range all[s.seen:] {
		if text != end {
			printed.WriteString(text + "\n")
		}
	}
	s.seen = len(all)
	address := "127.0.0.1:0"
	if s.address != "" {
		address = s.address
	}
	return strings.NewReplacer(s.dir, sessionDir, address, sessionAddress).Replace(printed.String())
}

// server is what it has started.
func (s *shell) server() *server { return &server{t: s.T, control: s.control} }

// connect has clients come one after another, so that each goes where there are fewest.
func (s *shell) connect(n int) (clients []*client) {
	s.Helper()
	server := s.server()
	for range n {
		c, err := connect(s.address)
		if err != nil {
			s.Fatal(err)
		}
		s.Cleanup(func() { _ = c.conn.Close() }) // it may be closed
		clients = append(clients, c)
		server.until("it is at a worker", func(status master.Status) bool { return status.Connections.Active == uint64(len(clients)) })
	}
	return clients
}

// leave ends the shell, which leaves nothing.
func (s *shell) leave() {
	s.Helper()
	if err := s.in.Close(); err != nil {
		s.Fatal(err)
	}
	if !s.out.waitEnd(limit) {
		s.Fatalf("something runs on after %v", limit)
	}
	if err := s.cmd.Wait(); err != nil {
		s.Errorf("the shell: %v", err)
	}
}

var (
	sessionPID = regexp.MustCompile(`(\bpid[ =]|(?m:^) +\d+ +)(\d+)\b`) // in a text, and in the table of workers
	varying    = []struct {
		what *regexp.Regexp
		to   string
	}{
		{regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)`), "TIME"},
		{regexp.MustCompile(`\b\d+(\.\d+)?(ns|µs|ms|s)\b`), "DURATION"},
		{regexp.MustCompile(`(?m)^\d+ TIME`), "ID TIME"},
		{regexp.MustCompile(`\bworker \d+ \(`), "worker SLOT ("}, // whichever ends first
		{regexp.MustCompile(`(?m)^usher \S+, master`), "usher VERSION, master"},
		{regexp.MustCompile(` +`), " "}, // a table is as wide as its numbers are
	}
)

// settled is a session without what is another in each run. A process is told from others:
// by which one it is in the order in which they appear.
func settled(text string) string {
	order := make(map[string]string)
	text = sessionPID.ReplaceAllStringFunc(text, func(found string) string {
		m := sessionPID.FindStringSubmatch(found)
		if order[m[2]] == "" {
			order[m[2]] = fmt.Sprintf("PID%d", len(order)+1)
		}
		return m[1] + order[m[2]]
	})
	for _, v := range varying {
		text = v.what.ReplaceAllString(text, v.to)
	}
	return text
}

func TestSettled(t *testing.T) {
	const text = "usher devel, master pid 70, generation 2\n  slot  pid  generation\n     0   71           2\n" +
		"9 2026-01-02T15:04:05.6Z [INFO]  reloaded: moved=6 elapsed=48ms\nusher: worker 0 (pid 72) ended\n"
	tests := []struct {
		name, old, new string
		same           bool
	}{
		{"a pid", "71", "4711", true},
		{"a pid that is another's", "71", "70", false},
		{"a time", "15:04:05.6Z", "16:00:00Z", true},
		{"a duration", "48ms", "1.5s", true},
		{"no duration", "48ms", "48", false},
		{"a count", "moved=6", "moved=5", false},
		{"a generation", "generation 2", "generation 3", false},
		{"a slot", "     0   71", "     1   71", false},
		{"the slot that ended first", "worker 0", "worker 1", true},
		{"an id", "\n9 ", "\n10 ", true},
		{"a version", "devel", "v1.2.3", true},
		{"a word", "reloaded", "reload", false},
		{"a line more", "ended\n", "ended\nended\n", false},
	}
	for _, test := range tests {
		other := strings.Replace(text, test.old, test.new, 1)
		if other == text || (settled(other) == settled(text)) != test.same {
			t.Errorf("%s: %s", test.name, settled(other))
		}
	}
}
