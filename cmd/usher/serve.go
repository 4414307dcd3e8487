package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/master"
)

type serveCommand struct {
	Listen            []string      `placeholder:"[NAME=]ADDRESS" default:"127.0.0.1:8888" help:"Address to serve: HOST:PORT (also after tcp://, tcp4://, tcp6://), unix:///PATH?mode=0660, or systemd://[NAME]. Repeatable. Port 0 picks a free one."`
	Workers           int           `default:"${cpus}" help:"How many workers to start (${default}: the number of CPUs)."`
	MaxWorkers        int           `default:"256" help:"How many workers signals may scale up to."`
	App               string        `default:"echo" enum:"${apps}" help:"Built-in worker to run when no program is given: ${enum}."`
	Dispatch          string        `default:"least" enum:"${policies}" help:"How a worker is chosen for a connection: ${enum}."`
	MaxConnsPerWorker int           `help:"Most connections of a worker at a time; 0: as many as it has descriptors for, but 1 under --dispatch queue."`
	DrainTimeout      time.Duration `default:"30s" help:"How long connections may go on when their worker leaves."`
	BootTimeout       time.Duration `default:"10s" help:"How long a worker may take to get ready."`
	Control           string        `default:"${control}" placeholder:"PATH" help:"Control socket, for usher status (${default})."`
	PIDFile           string        `name:"pid-file" placeholder:"PATH" help:"File to write the master's pid to."`
	LogLevel          string        `default:"info" enum:"trace,debug,info,warn,error" help:"Least serious messages to log: ${enum}."`
	LogFormat         string        `default:"text" enum:"text,json" help:"Log lines for people or for programs: ${enum}."`

	Program []string `arg:"" optional:"" env:"" help:"After --: the worker program and its arguments."`
}

func (c *serveCommand) Run() error {
	program, err := c.program()
	if err != nil {
		return usageError{err}
	}
	return master.Run(context.Background(), master.Config{
		Listen:            c.Listen,
		Program:           program,
		App:               c.App,
		Workers:           c.Workers,
		MaxWorkers:        c.MaxWorkers,
		Dispatch:          c.Dispatch,
		MaxConnsPerWorker: c.MaxConnsPerWorker,
		DrainTimeout:      c.DrainTimeout,
		BootTimeout:       c.BootTimeout,
		Control:           c.Control,
		PIDFile:           c.PIDFile,
		Version:           version(),
		Started:           announce,
		Logger: hclog.New(&hclog.LoggerOptions{
			Name:       "usher",
			Level:      hclog.LevelFromString(c.LogLevel),
			JSONFormat: c.LogFormat == "json",
			Output:     os.Stderr,
		}),
	})
}

// program returns what to start as a worker: the program given after --, or
// this one as a worker that runs an app.
func (c *serveCommand) program() ([]string, error) {
	if len(c.Program) > 0 {
		if !slices.Contains(os.Args, "--") {
			return nil, fmt.Errorf("unexpected argument %s; a worker program comes after --", c.Program[0])
		}
		return c.Program, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, errors.New("cannot find this program's own file; give a worker program after --")
	}
	return []string{self, "worker", c.App}, nil
}

// announce prints the line that says where the server is.
func announce(status master.Status) {
	var addresses []string
	for _, l := range status.Listeners {
		addresses = append(addresses, l.Address)
	}
	fmt.Printf("usher: serving on %s (master pid %d, %d workers)\n",
		strings.Join(addresses, ", "), status.PID, len(status.Workers))
}
