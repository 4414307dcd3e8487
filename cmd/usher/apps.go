package main

import (
	"maps"
	"slices"

	"github.com/usher-go/usher/worker"
)

// apps are the built-in workers, by name.
var apps = map[string]worker.Handler{
	"echo":  worker.DataFunc(echo),
	"lines": lines{},
}

func appNames() []string { return slices.Sorted(maps.Keys(apps)) }

// beWorker runs a built-in app, and does not return, if the command line is the one
// that reading.program has a master start. It spares each worker the parser of command
// lines, which takes a megabyte of memory, and time.
func beWorker(args []string) {
	if len(args) == 2 && args[0] == "worker" && apps[args[1]] != nil && worker.IsWorker() {
		worker.Main(apps[args[1]])
	}
}

// workerCommand is usher worker APP, for whoever starts it otherwise than a master.
type workerCommand struct {
	App string `arg:"" enum:"${apps}" env:""`
}

func (c *workerCommand) Run() error {
	worker.Main(apps[c.App])
	return nil
}
