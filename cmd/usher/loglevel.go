package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/usher-go/usher/master"
)

type logLevelCommand struct {
	controlFlag `embed:""`
	resultFlag  `embed:""`

	Level  string `arg:"" optional:"" enum:",trace,debug,info,warn,error,default" default:"" help:"trace, debug, info, warn or error; default: as it is configured. Without it the levels are shown."`
	Worker *int   `placeholder:"SLOT" env:"" help:"Of the worker in this slot alone, as long as it lives."`
	Master bool   `env:"" help:"Of the master alone."`
}

func (*logLevelCommand) Help() string {
	return `A level lasts until another is asked for, or a reload changes the setting log-level; workers that start meanwhile have it, too. In the log a worker's warnings and errors have their level, and all else that it writes is info.

Examples:

  usher log-level
  usher log-level debug
  usher log-level trace --worker 2
  usher log-level default`
}

func (c *logLevelCommand) Run() error {
	var levels master.LogLevels
	var err error
	switch {
	case c.Level != "":
		request := struct {
			Level  string `json:"level"`
			Worker *int   `json:"worker,omitempty"`
			Master bool   `json:"master,omitempty"`
		}{c.Level, c.Worker, c.Master}
		err = post(c.Control, "/v1/log-level", request, &levels)
	case c.Worker != nil || c.Master:
		err = usageError{errors.New("--worker and --master need a level")}
	default:
		err = getInto(c.Control, "/v1/log-level", &levels)
	}
	if err != nil {
		return c.failed(err)
	}
	return c.printBy(levels, func(w io.Writer) error { return printLevels(w, levels) })
}

func printLevels(w io.Writer, levels master.LogLevels) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	changed := ""
	if levels.Level != levels.Configured {
		changed = "  (configured: " + levels.Configured + ")"
	}
	fmt.Fprintf(table, "master\t%s%s\n", levels.Level, changed)
	for _, worker := range levels.Workers {
		fmt.Fprintf(table, "worker %d\t%s\n", worker.Worker, worker.Level)
	}
	for _, worker := range levels.Unanswered {
		fmt.Fprintf(table, "worker %d\tnot known: %s\n", worker.Worker, printable(worker.Error))
	}
	return table.Flush()
}
