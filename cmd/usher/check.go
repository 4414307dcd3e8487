package main

import (
	"fmt"
	"strings"

	"github.com/usher-go/usher/master"
)

// checkCommand takes what serve takes, and says what it would do.
type checkCommand struct {
	Settings settings `embed:""`
}

func (c *checkCommand) Run(s *sources, r *reading) error {
	config, err := c.Settings.config(s, r)
	if err != nil {
		return err
	}
	if _, err := config.ProgramPath(); err != nil {
		return r.locate(&master.ConfigError{Key: "program", Problem: "program: " + err.Error()})
	}
	_, err = fmt.Printf("ok: would serve on %s with %d workers of %s\n",
		strings.Join(config.Listen, ", "), config.Workers, strings.Join(config.Program, " "))
	return err
}
