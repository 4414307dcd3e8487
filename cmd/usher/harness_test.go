package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// asUsher in the environment makes the test binary the command; and since a
// master starts its own file as workers, them too. Its value is the mark by
// which the processes of one server are told from all others.
const asUsher = "ACT_AS_USHER"

// limit is the time in which whatever a story waits for must have come: ten
// times what an operator would bear. Nothing is expected to take as long, and
// no story is about how long it takes.
const limit = 20 * time.Second

var size = flag.String("size", "ci", "ci, or full: the sizes at which scripts/prove runs the stories")

// sized returns how much of something there is to be at the size asked for.
func sized[N int | time.Duration](ci, full N) N {
	if *size == "full" {
		return full
	}
	return ci
}

func TestMain(m *testing.M) {
	if os.Getenv(asUsher) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	turnBack()
	if len(os.Args) > 1 && helpers[os.Args[1]] != nil {
		helpers[os.Args[1]]()
		os.Exit(0)
	}
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE) // as main does
	os.Exit(run(os.Args[1:]))
}

var marks atomic.Int64

// command returns the test binary as usher, and its mark.
func command(args ...string) (cmd *exec.Cmd, mark string) {
	mark = fmt.Sprintf("%s=%d-%d", asUsher, os.Getpid(), marks.Add(1))
	cmd = exec.Command(self(), args...)
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "USHER_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	// The race detector has each process wait a second at its exit, unless told not to.
	cmd.Env = append(cmd.Env, mark, "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	return cmd, mark
}

func self() string {
	path, err := os.Executable()
	if err != nil {
		panic(err) // /proc is not mounted: no story can be told
	}
	return path
}

// result is what a command that ends by itself leaves.
type result struct {
	code           int
	stdout, stderr string
}

// usher runs the command to its end, which must leave no process.
func usher(t *testing.T, args ...string) result {
	t.Helper()
	return usherWithin(t, limit, args...)
}

// usherWithin is usher for a command that waits for something that takes its time.
func usherWithin(t *testing.T, limit time.Duration, args ...string) result {
	t.Helper()
	cmd, mark := command(args...)
	t.Cleanup(func() { killMarked(mark) })
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second // for a worker left behind, which has the pipes
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() }) // it has ended by now or is late
	err := cmd.Wait()
	if !timer.Stop() {
		t.Fatalf("usher %s: still running after %v; standard error:\n%s", strings.Join(args, " "), limit, &stderr)
	}
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatalf("usher %s: %v", strings.Join(args, " "), err)
	}
	if left := marked(mark); len(left) > 0 {
		t.Errorf("usher %s: left processes %v", strings.Join(args, " "), left)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// until calls ok until it says yes. What it says otherwise is shown at the limit.
func until(t *testing.T, what string, ok func() (bool, string)) {
	t.Helper()
	pace := time.NewTicker(2 * time.Millisecond) // so as not to take the time from what is waited for
	defer pace.Stop()
	for deadline := time.Now().Add(limit); ; <-pace.C {
		done, last := ok()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v; last: %s", what, limit, last)
		}
	}
}

// meanwhile calls again until it says no, on a goroutine of its own, and until the
// function that it returns is called, which waits for that. At the latest it is
// when the test ends: who fails a test that has ended ends all others.
func meanwhile(t *testing.T, again func() bool) (stop func()) {
	var stopped atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !stopped.Load() && again() {
		}
	}()
	stop = func() {
		stopped.Store(true)
		<-ended
	}
	t.Cleanup(stop)
	return stop
}

// shortDir is t.TempDir with a path that leaves room for a socket's name
// (unix(7): 108 bytes).
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "u")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // of the temporary folder
	return dir
}

// script writes an executable file, whole or not at all.
func script(t *testing.T, path, body string) {
	t.Helper()
	// A child forked while the file is open for writing could not execute it.
	syscall.ForkLock.RLock()
	err := os.WriteFile(path+".new", []byte(body), 0o755)
	syscall.ForkLock.RUnlock()
	if err := errors.Join(err, os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}
