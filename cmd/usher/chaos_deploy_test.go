package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// deploy makes the program one that keeps the journal, and the configuration good.
// Which one it is a script says itself, and to an executable the configuration.
func (c *chaos) deploy(e *era, program string) {
	arguments := []string{"worker-chaos", program, e.journalPath}
	command := []string{c.program}
	if c.script {
		script(c.t, c.program, fmt.Sprintf("#!/bin/sh\nexec %s %s\n", self(), strings.Join(arguments, " ")))
	} else {
		c.copy()
		command = append(command, arguments...)
	}
	c.configure(e, command)
	c.broken = 0
}

// copy puts another file of the same content in place of the program.
func (c *chaos) copy() {
	c.copies[0], c.copies[1] = c.copies[1], c.copies[0]
	err := os.Link(c.copies[0], c.program+".new")
	if err := errors.Join(err, os.Rename(c.program+".new", c.program)); err != nil {
		c.t.Fatal(err)
	}
}

// configure writes the configuration, whole. What it must not be without comes last,
// so that it is whole or to be refused, wherever it is cut.
func (c *chaos) configure(e *era, command []string) {
	quoted := make([]string, len(command))
	for i, argument := range command {
		quoted[i] = fmt.Sprintf("%q", argument)
	}
	writeConfig(c.t, e.configPath, e.controlPath, append([]string{
		fmt.Sprintf("control = %q", e.controlPath),
		fmt.Sprintf("log-file = %q", e.logPath),
		`log-format = "json"`,
		`log-level = "debug"`, // it tells which workers were started
		fmt.Sprintf("max-workers = %d", mostWorkers),
		fmt.Sprintf("drain-timeout = %q", drainTimeout),
	}, append(c.settings,
		fmt.Sprintf("listen = [%q, %q]", "127.0.0.1:0", badListener+"=unix://"+e.badPath),
		fmt.Sprintf("program = [%s]", strings.Join(quoted, ", ")))...))
}

func deployProgram(program string) func(c *chaos, e *era) {
	return func(c *chaos, e *era) {
		c.deploy(e, program)
		c.reloadBroken(e, program)
	}
}

func breakProgram(text string) func(c *chaos, e *era) {
	return func(c *chaos, e *era) {
		script(c.t, c.program, text)
		c.reloadBroken(e, strings.TrimSpace(text))
	}
}

// reloadBroken has the server try a broken program, and someone wait for what
// comes of it or not.
func (c *chaos) reloadBroken(e *era, program string) {
	c.broken = 1
	c.note("the program is %q", program)
	if c.random.IntN(2) == 0 {
		tellMaster(unix.SIGHUP)(c, e)
		return
	}
	c.usher(e, "reload")
}

// repair deploys the good program again.
func (c *chaos) repair(e *era) {
	c.deploy(e, programGood)
	c.note("the program is good")
	c.usher(e, "reload")
}

// replaceProgram puts another file in place of the program, or none, which no reload
// has asked for; and then a worker dies. An executable goes on as what it was.
func (c *chaos) replaceProgram(e *era) {
	switch c.random.IntN(3) {
	case 0:
		c.note("the program is removed")
		if err := os.Remove(c.program); err != nil && !errors.Is(err, os.ErrNotExist) {
			c.t.Fatal(err)
		}
		c.broken = max(c.broken, 1)
	case 1:
		c.note("the program is replaced by one that exits")
		script(c.t, c.program, fmt.Sprintf("#!/bin/sh\nexit %d\n", exitsStatus))
		c.broken = max(c.broken, 1)
	case 2:
		if c.script {
			c.deploy(e, programGood)
		} else {
			c.copy()
		}
		c.note("the program is replaced by the good one")
	}
	c.killWorker(e)
}
