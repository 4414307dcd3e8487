package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// target is a process of the server: the master's, or that of a worker.
type target string

// UnmarshalText reads SLOT or master.
func (t *target) UnmarshalText(text []byte) error {
	if n, err := strconv.Atoi(string(text)); string(text) != "master" && (err != nil || n < 0) {
		return fmt.Errorf("expected a worker's slot or master but got %q", text)
	}
	*t = target(text)
	return nil
}

// path returns where the master answers for it.
func (t target) path(what string) string {
	if t == "master" {
		return "/v1/master/" + what
	}
	return "/v1/workers/" + string(t) + "/" + what
}

type stacksCommand struct {
	controlFlag `embed:""`

	Of target `arg:"" placeholder:"SLOT|master" name:"slot" help:"Slot of the worker, see usher status; or master."`
}

func (*stacksCommand) Help() string {
	return `A worker answers though a handler of it is stuck; all of its goroutines stand still for a moment.

Examples:

  usher stacks 2
  usher stacks master | grep -A 1 '^goroutine'`
}

func (c *stacksCommand) Run() error {
	text, err := get(c.Control, c.Of.path("stacks"))
	if err != nil {
		return err
	}
	_, err = printableWriter{os.Stdout}.Write(text)
	return err
}

type profileCommand struct {
	controlFlag `embed:""`

	Kind    string `arg:"" enum:"cpu,heap,trace" help:"cpu: where time is spent; heap: what memory is held by, as of the last garbage collection; trace: what goroutines do when."`
	Of      target `arg:"" placeholder:"SLOT|master" name:"slot" help:"Slot of the worker, see usher status; or master."`
	Seconds int    `placeholder:"N" env:"" help:"How long to look, 1 to 60; 5 without. Not for heap."`
	Output  string `short:"o" placeholder:"FILE" env:"" help:"File to write to; without it, or with -: standard output, unless that is a terminal."`
}

func (*profileCommand) Help() string {
	return `cpu and heap are for go tool pprof, trace is for go tool trace.

Examples:

  usher profile cpu 2 --seconds 10 -o cpu.out && go tool pprof -top cpu.out
  usher profile heap master -o heap.pprof
  usher profile trace 0 --seconds 1 -o out.trace && go tool trace out.trace`
}

// profileWaits is how long the master may take beyond the seconds that were asked for.
const profileWaits = 20 * time.Second

func (c *profileCommand) Run() error {
	toFile := c.Output != "" && c.Output != "-"
	if _, err := unix.IoctlGetTermios(int(os.Stdout.Fd()), unix.TCGETS); err == nil && !toFile {
		return usageError{errors.New("a profile is nothing for a terminal: name a file with -o")}
	}
	if toFile {
		if err := checkOutput(c.Output); err != nil {
			return err
		}
	}
	parameters := url.Values{"kind": {c.Kind}}
	if c.Seconds != 0 {
		parameters.Set("seconds", strconv.Itoa(c.Seconds))
	}
	made, err := getWithin(time.Duration(min(max(c.Seconds, 0), ipc.MaxProfileSeconds))*time.Second+profileWaits, c.Control, c.Of.path("profile")+"?"+parameters.Encode())
	if err != nil {
		return err
	}
	if toFile {
		return os.WriteFile(c.Output, made, 0o600)
	}
	_, err = os.Stdout.Write(made)
	return err
}

// checkOutput returns why a file cannot be written, or made: better before a profile of a
// minute than after it.
func checkOutput(path string) error {
	err := unix.Access(path, unix.W_OK)
	if err == unix.ENOENT {
		err = unix.Access(filepath.Dir(path), unix.W_OK)
	}
	if info, failed := os.Stat(path); err == nil && failed == nil && info.IsDir() {
		err = unix.EISDIR
	}
	if err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}
