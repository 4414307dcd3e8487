package main

import "fmt"

type logsCommands struct {
	Reopen reopenCommand `cmd:"" help:"Open the log file anew, after it was renamed."`
}

type reopenCommand struct {
	controlFlag `embed:""`
}

func (c *reopenCommand) Run() error {
	if err := post(c.Control, "/v1/logs", nil, &struct{}{}); err != nil {
		return err
	}
	_, err := fmt.Println("log file reopened")
	return err
}
