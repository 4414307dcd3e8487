package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// talker is a client that says lines and hears lines.
type talker struct {
	*testing.T
	net.Conn
	in *bufio.Reader
}

func talkTo(t *testing.T, address string) *talker {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &talker{t, conn, bufio.NewReader(conn)}
}

// expect says a line and wants another.
func (c *talker) expect(said, want string) {
	c.Helper()
	if _, err := io.WriteString(c, said+"\n"); err != nil {
		c.Fatal(err)
	}
	if got, err := c.in.ReadString('\n'); got != want+"\n" || err != nil {
		c.Fatalf("%q was answered by %q, %v; want %q", said, got, err, want)
	}
}

// What docs/workers.md has its reader write is built, tested and served, and a reload
// does to its connections what the page says.
func TestWorkersPage(t *testing.T) {
	t.Parallel()
	blocks := pageBlocks(t, "docs/workers.md")
	const build, flags = "go build -o echo .\n", "usher serve --listen :9000 -- ./echo\n"
	making, ok := strings.CutSuffix(blocks["sh The first handler"][0], flags)
	if !ok || !strings.HasSuffix(making, build) {
		t.Fatalf("the page makes and serves it by %q", blocks["sh The first handler"][0])
	}
	dir := t.TempDir()
	makeModule(t, filepath.Join(dir, "module"), blocks["go The first handler"][0], making)
	for _, test := range []struct {
		name, heading string
		answer        func(n int) string // to the line "hello"
		moves         bool
	}{
		{"echo", "The first handler", func(int) string { return "hello" }, true},
		{"session", "A session", func(n int) string { return fmt.Sprintf("%d hello", n) }, true},
		{"streams", "Work that blocks", func(int) string { return "you said hello" }, false},
		{"framing", "Framing", func(int) string { return "you said hello" }, true},
		{"metrics", "Metrics", func(int) string { return "hello" }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			program := goProgram(t, dir, test.name, blocks["go "+test.heading][0], strings.Replace(build, "-o echo", "-o "+test.name, 1))
			if test.heading == "A session" {
				testPage(t, filepath.Dir(program), blocks["go Testing"][0])
			}
			s := serve(t, "--workers", "2", "--", program)
			c := talkTo(t, s.address)
			c.expect("hello", test.answer(1))
			c.expect("hello", test.answer(2))
			if test.moves {
				s.reload()
				c.expect("hello", test.answer(3))
			}
			_ = c.Close() // all was read
			s.stop()
		})
	}
}

// makeModule makes a module as the page's reader does, beside a checkout.
func makeModule(t *testing.T, dir, source, making string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err == nil {
		err = os.Mkdir(dir, 0o755)
	}
	if err == nil {
		err = os.Symlink(root, filepath.Join(filepath.Dir(dir), "usher"))
	}
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "main.go"), source)
	cmd := exec.Command("sh", "-eu", "-c", making)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// testPage runs the test that a page has of its program.
func testPage(t *testing.T, dir, source string) {
	t.Helper()
	writeFile(t, filepath.Join(dir, "main_test.go"), source)
	cmd := exec.Command("go", "test", "-mod=mod", ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// The program of docs/embedding.md is master and worker, and the signals do what the page
// says.
func TestEmbeddingPage(t *testing.T) {
	t.Parallel()
	source := pageBlocks(t, "docs/embedding.md")["go"][0]
	const address = `"127.0.0.1:8889"`
	if !strings.Contains(source, address) {
		t.Fatalf("it does not listen on %s", address)
	}
	source = strings.Replace(source, address, `"127.0.0.1:0"`, 1)
	program := goProgram(t, t.TempDir(), "embedder", source, "go build -o embedder .\n")
	cmd, mark := command()
	cmd.Path, cmd.Args = program, []string{program}
	s := launchAs(t, cmd, mark, "")
	line := s.log.await(t, 1, "serving on ")
	s.address = regexp.MustCompile(`serving on (\S+),`).FindStringSubmatch(line)[1]
	c := talkTo(t, s.address)
	c.expect("before", "before")
	workers := func() []int {
		return slices.DeleteFunc(marked(mark), func(pid int) bool { return pid == s.pid })
	}
	s.signal(unix.SIGUSR1)
	until(t, "one more worker", func() (bool, string) { return len(workers()) == 3, fmt.Sprint(workers()) })
	before := workers()
	s.signal(unix.SIGHUP)
	until(t, "three others", func() (bool, string) {
		now := workers()
		again := slices.ContainsFunc(now, func(pid int) bool { return slices.Contains(before, pid) })
		return len(now) == 3 && !again, fmt.Sprintf("%v, before %v", now, before)
	})
	c.expect("after", "after")
	_ = c.Close() // all was read
	s.signal(unix.SIGTERM)
	s.ends(0)
}

// The commands of docs/other-languages.md do what they say, from the folder of the
// repository.
func TestOtherLanguagesPage(t *testing.T) {
	t.Parallel()
	blocks := pageBlocks(t, "docs/other-languages.md")["sh"]
	for i, block := range blocks {
		lines := strings.Split(strings.TrimSpace(block), "\n")
		_, program, ok := strings.Cut(lines[len(lines)-1], "usher serve --listen :9000 -- ")
		if !ok {
			t.Fatalf("block %d ends in %q", i, lines[len(lines)-1])
		}
		words := strings.Fields(program)
		t.Run(words[0], func(t *testing.T) {
			for _, need := range []string{"python3", "gcc"} {
				if _, err := exec.LookPath(need); strings.Contains(block, need) && err != nil {
					t.Skipf("there is no %s here", need)
				}
			}
			dir := t.TempDir()
			for _, line := range lines[:len(lines)-1] {
				cmd := exec.Command("sh", "-eu", "-c", strings.Replace(line, "-o lines ", "-o "+dir+"/lines ", 1))
				cmd.Dir = "../.."
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", line, err, out)
				}
			}
			for i, word := range words {
				words[i] = strings.Replace(word, "testdata/", "../../testdata/", 1)
			}
			words[0] = strings.Replace(words[0], "./", dir+"/", 1)
			s := serve(t, append([]string{"--workers", "1", "--"}, words...)...)
			c := dial(t, s.address)
			c.ask(t, "hello")
			c.leave(t)
			s.stop()
		})
	}
}

// What docs/operations.md has its reader type is good, and its table has every command.
func TestOperationsPage(t *testing.T) {
	t.Parallel()
	blocks := pageBlocks(t, "docs/operations.md")
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "worker"), "#!/bin/sh\n")
	if err := os.Chmod(filepath.Join(dir, "worker"), 0o755); err != nil {
		t.Fatal(err)
	}
	check := func(text string, args ...string) {
		cmd, mark := command(append([]string{"check"}, args...)...)
		cmd.Dir = dir
		t.Cleanup(func() { killMarked(mark) })
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", text, err, out)
		}
	}
	for line := range strings.Lines(blocks["sh Start"][0]) {
		line, _, _ = strings.Cut(line, "#")
		check(line, strings.Fields(line)[2:]...)
	}
	writeFile(t, filepath.Join(dir, "usher.toml"), strings.Replace(blocks["toml Start"][0], "/run/", dir+"/", 1))
	check(blocks["toml Start"][0], "--config", "usher.toml")

	target := regexp.MustCompile(`targets: \["([^"]+)"\]`).FindStringSubmatch(blocks["yaml Metrics"][0])
	if target == nil {
		t.Fatalf("no target in:\n%s", blocks["yaml Metrics"][0])
	}
	check(blocks["yaml Metrics"][0], "--admin", target[1])
	if _, err := exec.LookPath("curl"); err == nil { // else this command is not tried
		s := serve(t, "--workers", "1")
		cmd := exec.Command("sh", "-eu", "-c", blocks["sh Metrics"][0])
		cmd.Env = append(os.Environ(), "USHER_CONTROL="+s.control)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "\nusher_generation 1\n") {
			t.Errorf("%s%v\n%s", blocks["sh Metrics"][0], err, out)
		}
		s.stop()
	}

	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	help := usher(t, "--help").stdout
	commands := regexp.MustCompile(`(?m)^  ([a-z][a-z -]*[a-z])`).FindAllStringSubmatch(help, -1)
	if len(commands) < 10 {
		t.Fatalf("no list of commands in:\n%s", help)
	}
	for _, m := range commands {
		if name := "usher " + m[1]; !strings.Contains(string(page), "`"+name) && m[1] != "serve" {
			t.Errorf("the page has no %s", name)
		}
	}
}
