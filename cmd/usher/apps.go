package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/usher-go/usher/worker"
)

// apps are the built-in workers, by name.
var apps = map[string]worker.Handler{
	"echo":  worker.DataFunc(echo),
	"lines": lines{},
}

func appNames() string { return strings.Join(slices.Sorted(maps.Keys(apps)), ",") }

type workerCommand struct {
	App string `arg:"" enum:"${apps}" env:""`
}

func (c *workerCommand) Run() error {
	worker.Main(apps[c.App])
	return nil
}
