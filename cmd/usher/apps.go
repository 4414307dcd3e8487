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

// beWorker is the way past the command line's parser for a worker that a master
// starts, as reading.program has it: a megabyte of memory, and time, for each. It
// returns if this is none.
func beWorker(args []string) {
	if len(args) == 2 && args[0] == "worker" && apps[args[1]] != nil && worker.IsWorker() {
		worker.Main(apps[args[1]])
	}
}

type workerCommand struct {
	App string `arg:"" enum:"${apps}" env:""`
}

func (c *workerCommand) Run() error {
	worker.Main(apps[c.App])
	return nil
}
