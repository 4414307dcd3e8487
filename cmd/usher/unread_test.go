package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// These stories are about those who do not read: what the server writes for them
// must hold up nobody.

// noisyLines is how many lines a noisy worker writes, each of noisyLine bytes:
// more than a pipe and the log's queue take.
const (
	noisyLines = 20_000
	noisyLine  = 100
)

// noisyWorker is a program for workers that write much to standard error, and say
// by a file for each when they have done so.
func noisyWorker(t *testing.T, directory string) (program string, done func() int) {
	t.Helper()
	program = filepath.Join(directory, "worker")
	script(t, program, fmt.Sprintf("#!/bin/sh\nyes noisy%s | head -n %d >&2\n: >'%s/done.'$$\nexec '%s' worker lines\n",
		strings.Repeat("y", noisyLine-len("noisy\n")), noisyLines, directory, self()))
	return program, func() int {
		names, err := filepath.Glob(filepath.Join(directory, "done.*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
}

// fillPipe leaves no room in a pipe, of which the story has both ends.
func fillPipe(t *testing.T, to *os.File) {
	t.Helper()
	fd := int(to.Fd())
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for size := 4096; size > 0; {
		switch n, err := unix.Write(fd, []byte(strings.Repeat("\n", size))); {
		case err == unix.EAGAIN:
			size /= 2
		case err != nil || n == 0:
			t.Fatalf("%d, %v", n, err)
		}
	}
	if err := unix.SetNonblock(fd, false); err != nil { // as a program expects it
		t.Fatal(err)
	}
}

// aPipe returns the ends of a pipe, which are closed at the end of the story.
func aPipe(t *testing.T) (from, to *os.File) {
	t.Helper()
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = from.Close(), to.Close() }) // the story may have closed them
	return from, to
}

func fifo(t *testing.T, path string) {
	t.Helper()
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A log that nobody reads, and workers that write much of it: clients are served,
// commands answered, dead workers replaced, the service manager hears that the
// master is alive, and TERM and QUIT end it.
func TestNobodyReadsTheLog(t *testing.T) {
	t.Parallel()
	for name, withLog := range map[string]func(t *testing.T, cmd *exec.Cmd, path string) (flags []string){
		"standard error": func(t *testing.T, cmd *exec.Cmd, _ string) []string {
			_, cmd.Stderr = aPipe(t)
			return nil
		},
		"a FIFO that has no reader": func(t *testing.T, _ *exec.Cmd, path string) []string {
			fifo(t, path)
			return []string{"--log-file", path}
		},
		"a FIFO whose reader stopped": func(t *testing.T, _ *exec.Cmd, path string) []string {
			fifo(t, path)
			reader, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = reader.Close() }) // it was never read
			return []string{"--log-file", path}
		},
	} {
		for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGQUIT} {
			t.Run(name+", "+unix.SignalName(sig), func(t *testing.T) {
				t.Parallel()
				directory := shortDir(t)
				program, done := noisyWorker(t, directory)
				m := newManager(t)
				cmd, mark := command()
				cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+m.path, "WATCHDOG_USEC=1000000")
				flags := withLog(t, cmd, filepath.Join(directory, "log"))
				s := serveCommandLine(t, cmd, mark, append(flags, "--workers", "1", "--", program)...)

				s.until("the worker has written all", func(master.Status) bool { return done() == 1 })
				c := dial(t, s.address)
				c.ask(t, "hello")
				c.leave(t)
				dead := pids(s.now())
				kill(t, dead[0], unix.SIGKILL)
				s.until("another worker", func(status master.Status) bool {
					return ready(1)(status) && pids(status)[0] != dead[0]
				})
				if got := s.ask("reload"); got.code != 0 {
					t.Errorf("usher reload: %+v", got)
				}
				m.said.await(t, len(m.said.with("WATCHDOG=1"))+3, "WATCHDOG=1")
				s.signal(sig)
				s.ends(0)
			})
		}
	}
}

// missingLines is what the log says of lines that are missing.
var missingLines = regexp.MustCompile(`usher: log lines are missing: count=(\d+)`)

// When a log is read again, each line is there once, whole, or is counted as
// missing, and it goes on.
func TestLogIsReadAgain(t *testing.T) {
	t.Parallel()
	for _, file := range []bool{false, true} {
		t.Run(fmt.Sprintf("file %t", file), func(t *testing.T) {
			t.Parallel()
			directory := shortDir(t)
			path := filepath.Join(directory, "log")
			program, done := noisyWorker(t, directory)
			cmd, mark := command()
			from, to := aPipe(t)
			args := []string{"--workers", "1", "--", program}
			if file {
				fifo(t, path)
				args = append([]string{"--log-file", path}, args...)
			} else {
				cmd.Stderr = to
			}
			s := serveCommandLine(t, cmd, mark, args...)
			if file {
				var err error
				if from, err = os.Open(path); err != nil {
					t.Fatal(err)
				}
				defer from.Close()
			}
			_ = to.Close() // the server has it
			s.until("the worker has written all", func(master.Status) bool { return done() == 1 })
			read := make(chan string, 1)
			go func() {
				text, _ := io.ReadAll(from) // to its end
				read <- string(text)
			}()
			s.signal(unix.SIGTERM)
			s.ends(0)

			there, missing := 0, 0
			text := <-read
			for line := range strings.Lines(text) {
				switch match := missingLines.FindStringSubmatch(line); {
				case match != nil:
					n, err := strconv.Atoi(match[1])
					if err != nil {
						t.Fatal(err)
					}
					missing += n
				case !strings.HasPrefix(line, "20") || !strings.HasSuffix(line, "\n"):
					t.Errorf("the part of a line: %q", line)
				case strings.Contains(line, "noisy"):
					there++
				}
			}
			// Missing may be some of the master's own, too.
			if missing == 0 || there+missing < noisyLines || there > noisyLines {
				t.Errorf("%d lines are there and %d missing of %d", there, missing, noisyLines)
			}
		})
	}
}

// The upgrade of a server whose log nobody reads: it is not held up, and the next
// program says how many lines went with the one before.
func TestUpgradeWhileNobodyReadsTheLog(t *testing.T) {
	t.Parallel()
	directory := shortDir(t)
	program, done := noisyWorker(t, directory)
	from, to := aPipe(t)
	cmd, mark := command()
	cmd.Stderr = to
	s := serveCommandLine(t, cmd, mark, "--workers", "1", "--", program)
	_ = to.Close() // the server has it
	s.until("the worker has written all", func(master.Status) bool { return done() == 1 })
	if got := s.ask("upgrade"); got.code != 0 {
		t.Errorf("usher upgrade: %+v", got)
	}
	read := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(from) // to its end
		read <- string(text)
	}()
	s.signal(unix.SIGTERM)
	s.ends(0)
	text := <-read
	match := missingLines.FindStringSubmatch(text)
	if match == nil || !strings.Contains(text[strings.Index(text, match[0]):], "usher: upgraded") {
		t.Fatalf("no word of missing lines before the upgrade in a log of %d bytes", len(text))
	}
	if n, err := strconv.Atoi(match[1]); err != nil || n < noisyLines/2 {
		t.Errorf("%s, %v; want more than half of %d", match[0], err, noisyLines)
	}
}

// A FIFO that nobody reads can be replaced: what waits goes into the new file.
func TestLogsReopenWhileNobodyReads(t *testing.T) {
	t.Parallel()
	directory := shortDir(t)
	path := filepath.Join(directory, "log")
	fifo(t, path)
	program, done := noisyWorker(t, directory)
	cmd, mark := command()
	s := serveCommandLine(t, cmd, mark, "--workers", "1", "--log-file", path, "--", program)
	s.until("the worker has written all", func(master.Status) bool { return done() == 1 })
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got, want := s.ask("logs", "reopen"), (result{0, "log file reopened\n", ""}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	until(t, "the file says how many lines are missing", func() (bool, string) {
		content, err := os.ReadFile(path)
		return missingLines.Match(content), fmt.Sprintf("%d bytes, %v", len(content), err)
	})
	s.stop()
}

// A start line that nobody reads is no reason not to serve, nor not to end.
func TestNobodyReadsTheStartLine(t *testing.T) {
	t.Parallel()
	_, to := aPipe(t)
	fillPipe(t, to)
	cmd, mark := command()
	cmd.Stdout = to
	s := launch(t, cmd, mark, "--app", "lines", "--workers", "1")
	status := s.until("a worker is ready", ready(1))
	c := dial(t, status.Listeners[0].Address)
	c.ask(t, "hello")
	c.leave(t)
	s.signal(unix.SIGTERM)
	s.ends(0)
}

// The reader of standard output goes away (usher serve | head -1): a worker that
// prints lives on after a reload.
func TestStandardOutputReaderGone(t *testing.T) {
	t.Parallel()
	directory := shortDir(t)
	program := filepath.Join(directory, "worker")
	script(t, program, fmt.Sprintf("#!/bin/sh\necho hello\nexec '%s' worker lines\n", self()))
	from, to := aPipe(t)
	cmd, mark := command()
	cmd.Stdout = to
	s := launch(t, cmd, mark, "--workers", "1", "--", program)
	s.until("a worker is ready", ready(1))
	_, _ = to.Close(), from.Close() // the server has the one, and nobody the other
	if got := s.ask("reload"); got.code != 0 {
		t.Errorf("usher reload: %+v", got)
	}
	s.until("another worker", ready(1))
	s.signal(unix.SIGTERM)
	s.ends(0)
}

// A failure that nobody reads about ends the process nevertheless.
func TestNobodyReadsTheFailure(t *testing.T) {
	t.Parallel()
	_, to := aPipe(t)
	fillPipe(t, to)
	cmd, mark := command("serve", "--listen", busyAddress(t), "--control", filepath.Join(shortDir(t), "c"))
	t.Cleanup(func() { killMarked(mark) })
	cmd.Stderr = to
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() }) // it has ended by now or is late
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !late.Stop() || !ok || exit.ExitCode() != exitFailed {
		t.Errorf("%v, want exit status %d", err, exitFailed)
	}
}

// A service manager that does not read is no reason not to serve, nor not to end.
func TestServiceManagerDoesNotRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "notify")
	address := &net.UnixAddr{Name: path, Net: "unixgram"}
	conn, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for err == nil { // until its queue has no room
		err = unix.Sendto(fd, []byte("X"), unix.MSG_DONTWAIT, &unix.SockaddrUnix{Name: path})
	}
	if err != unix.EAGAIN {
		t.Fatal(err)
	}
	cmd, mark := command()
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=1000000")
	s := serveCommandLine(t, cmd, mark, "--app", "lines", "--workers", "1")
	if got := s.ask("reload"); got.code != 0 {
		t.Errorf("usher reload: %+v", got)
	}
	if got := s.ask("upgrade"); got.code != 0 {
		t.Errorf("usher upgrade: %+v", got)
	}
	s.signal(unix.SIGTERM)
	s.ends(0)
}
