package main

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/usher-go/usher/worker"
)

// app makes a built-in worker, from the arguments behind its name: see reading.program.
type app func(args []string) (worker.Handler, []worker.Option, error)

// apps are the built-in workers, by name.
var apps = map[string]app{
	"echo":   without(worker.DataFunc(echo)),
	filesApp: newFiles,
	"hello":  without(newHello()),
	"lines":  without(lines{}),
}

// without is an app that takes no arguments.
func without(h worker.Handler) app {
	return func(args []string) (worker.Handler, []worker.Option, error) {
		if len(args) > 0 {
			return nil, nil, fmt.Errorf("unexpected argument %s", args[0])
		}
		return h, nil, nil
	}
}

func appNames() []string { return slices.Sorted(maps.Keys(apps)) }

// beWorker runs a built-in app, and does not return, if the command line is the one
// that reading.program has a master start. It spares each worker the parser of command
// lines, which takes a megabyte of memory, and time.
func beWorker(args []string) {
	if len(args) < 2 || args[0] != "worker" || apps[args[1]] == nil || !worker.IsWorker() {
		return
	}
	if err := runApp(args[1], args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "usher: %v\n", err)
		os.Exit(exitFailed)
	}
}

// runApp is a worker. It returns only if that cannot begin.
func runApp(name string, args []string) error {
	h, options, err := apps[name](args)
	if err != nil {
		return fmt.Errorf("worker %s: %w", name, err)
	}
	worker.Main(h, options...)
	return nil
}

// workerCommand is usher worker APP, for whoever starts it otherwise than a master.
type workerCommand struct {
	App  string   `arg:"" enum:"${apps}" env:""`
	Args []string `arg:"" optional:"" env:""`
}

func (c *workerCommand) Run() error { return runApp(c.App, c.Args) }
