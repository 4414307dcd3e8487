package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/master"
)

// settings are the one list of what can be set; see sources.
type settings struct {
	Config            string        `placeholder:"PATH" help:"Configuration file, in TOML: every flag is a key (drain-timeout = \"30s\"), and so is program. Flags and the environment win over it. It is read again by a reload."`
	Directory         string        `placeholder:"PATH" help:"Folder that workers are started in, and that relative paths count from, by flag or environment only; a symlink in it is followed anew by each reload. Without it: the folder that this is started in."`
	Listen            []string      `placeholder:"[NAME=]ADDRESS" default:"127.0.0.1:8888" help:"Address to serve: HOST:PORT (also after tcp://, tcp4://, tcp6://), unix:///PATH?mode=0660, or systemd://[NAME]. Repeatable. Port 0 picks a free one."`
	Workers           int           `default:"${cpus}" help:"How many workers to start (${default}: the number of CPUs)."`
	MaxWorkers        int           `default:"256" help:"How many workers there may be after scaling up."`
	App               string        `default:"echo" enum:"${apps}" help:"Built-in worker to run when no program is given: ${enum}."`
	Dispatch          string        `default:"least" enum:"${policies}" help:"How a worker is chosen for a connection: ${enum}."`
	MaxConns          int           `default:"0" help:"Most connections at a time; 0: no limit."`
	MaxConnsPerIP     int           `name:"max-conns-per-ip" default:"0" help:"Most connections at a time from one address (IPv6: from one network of 64 bits), further ones are closed; 0: no limit."`
	MaxConnsPerWorker int           `default:"0" help:"Most connections of a worker at a time; 0: as many as it has descriptors for, but 1 under --dispatch queue."`
	AcceptRate        int           `default:"0" help:"Most connections to accept in a second; 0: no limit."`
	Overload          string        `default:"wait" enum:"wait,close" help:"What becomes of clients beyond --max-conns, --accept-rate or the workers' room: ${enum}."`
	QueueTimeout      time.Duration `default:"0s" help:"How long after it was accepted a connection is still worth serving; a worker closes it then; 0: for ever."`
	Acceptors         int           `default:"1" help:"Goroutines that accept, each from a TCP socket of its own; one serves some 100,000 connections a second."`
	Backlog           int           `default:"0" help:"Most clients that wait in the kernel for each listener; 0: as many as it allows (somaxconn)."`
	IdleTimeout       time.Duration `default:"0s" help:"After how long without a byte a connection is closed; 0: never."`
	DrainTimeout      time.Duration `default:"30s" help:"How long connections may go on when their worker leaves."`
	BootTimeout       time.Duration `default:"10s" help:"How long a worker may take to get ready."`
	HangTimeout       time.Duration `default:"30s" help:"How long a worker may stand still in one handler before it is aborted; 0: for ever."`
	RecycleConns      int           `default:"0" help:"After how many connections a worker is replaced, give or take a tenth; 0: never."`
	RecycleAge        time.Duration `default:"0s" help:"At what age a worker is replaced, give or take a tenth; 0: never."`
	RecycleRSS        byteSize      `name:"recycle-rss" default:"0" placeholder:"SIZE" help:"With how much resident memory a worker is replaced, such as 512MiB, give or take a tenth; 0: never."`
	WorkerMemory      byteSize      `default:"0" placeholder:"SIZE" help:"How much memory the connections of a worker may buffer, all together, such as 256MiB: above it those that are owed most are no longer read from, above twice that the largest are closed; 0: an eighth of the memory there is, divided by --workers or the number of CPUs, whichever is more."`
	Rebalance         bool          `help:"Move live connections from the fullest workers to the emptiest, until all have as many."`
	MoveFailures      percentage    `default:"1%" placeholder:"SHARE" help:"Which share of the connections that a reload moves may be lost, because the new program cannot restore them, before the others stay with the old workers (${default})."`
	Control           string        `default:"${control}" placeholder:"PATH" help:"Control socket, for usher status and the like (${default})."`
	PIDFile           string        `name:"pid-file" placeholder:"PATH" help:"File to write the master's pid to."`
	LogFile           string        `placeholder:"PATH" help:"File to log to instead of standard error; after it was renamed a reload, or usher logs reopen, opens it anew."`
	LogLevel          string        `default:"info" enum:"trace,debug,info,warn,error" help:"Least serious messages to log: ${enum}."`
	LogFormat         string        `default:"text" enum:"text,json" help:"Log lines for people or for programs: ${enum}."`

	Program []string `arg:"" optional:"" env:"" help:"After --: the worker program and its arguments."`
}

// config returns what the master is to do. Its errors are about what was typed
// or wrap master.ErrConfig.
func (c *settings) config(s *sources, r *reading) (master.Config, error) {
	program, given, err := c.program(s, r)
	if err != nil {
		return master.Config{}, usageError{err}
	}
	config := master.Config{
		Listen:            c.Listen,
		Program:           program,
		ProgramGiven:      given,
		App:               c.App,
		Workers:           c.Workers,
		MaxWorkers:        c.MaxWorkers,
		Dispatch:          c.Dispatch,
		MaxConns:          c.MaxConns,
		MaxConnsPerIP:     c.MaxConnsPerIP,
		MaxConnsPerWorker: c.MaxConnsPerWorker,
		AcceptRate:        c.AcceptRate,
		Overload:          c.Overload,
		QueueTimeout:      c.QueueTimeout,
		Acceptors:         c.Acceptors,
		Backlog:           c.Backlog,
		IdleTimeout:       c.IdleTimeout,
		DrainTimeout:      c.DrainTimeout,
		BootTimeout:       c.BootTimeout,
		HangTimeout:       c.HangTimeout,
		RecycleConns:      c.RecycleConns,
		RecycleAge:        c.RecycleAge,
		Rebalance:         c.Rebalance,
		MoveFailures:      c.MoveFailures.config(),
		RecycleRSS:        int64(c.RecycleRSS),
		WorkerMemory:      int64(c.WorkerMemory),
		Control:           s.origin.fixed(c.Control),
		PrivateControl:    c.Control == defaultControl().path && defaultControl().private,
		PIDFile:           s.origin.fixed(c.PIDFile),
		LogLevel:          hclog.LevelFromString(c.LogLevel),
		Version:           version(),
		Directory:         r.directory,
		Carry:             s.origin.pack(r.file.text),
	}
	return config, r.locate(config.Check())
}

// program returns what to start as a worker, and where that was given: the program
// after --, or the file's, or this one as a worker that runs an app.
func (c *settings) program(s *sources, r *reading) (program []string, given string, err error) {
	if len(c.Program) > 0 {
		if !slices.Contains(s.args, "--") {
			return nil, "", fmt.Errorf("unexpected argument %s; a worker program comes after --", c.Program[0])
		}
		return c.Program, "the path after --", nil
	}
	if program := r.file.strings("program"); len(program) > 0 {
		return program, "program at " + r.file.at(r.file.entries["program"].line), nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, "", errors.New("cannot find this program's own file; give a worker program after --")
	}
	return []string{self, "worker", c.App}, "usher's own file, which has the app " + c.App, nil
}

// allows refuses a change that the master does not know of and that needs a
// new one.
func (c *settings) allows(next *settings) error {
	var changed []string
	if next.LogFile != c.LogFile {
		changed = append(changed, "log-file")
	}
	if next.LogFormat != c.LogFormat {
		changed = append(changed, "log-format")
	}
	if len(changed) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s cannot change by a reload; restart the master for that", master.ErrConfig, strings.Join(changed, ", "))
}
