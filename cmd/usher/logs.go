package main

import "fmt"

type logsCommands struct {
	Reopen reopenCommand `cmd:"" help:"Open the log file and the access log anew, after they were renamed."`
}

type reopenCommand struct {
	controlFlag `embed:""`
}

func (c *reopenCommand) Run() error {
	var reopened struct {
		LogFile   bool `json:"log_file"`
		AccessLog bool `json:"access_log"`
	}
	if err := post(c.Control, "/v1/logs", nil, &reopened); err != nil {
		return err
	}
	what := "log file"
	switch {
	case reopened.LogFile && reopened.AccessLog:
		what = "log file and access log"
	case reopened.AccessLog:
		what = "access log"
	}
	_, err := fmt.Println(what, "reopened")
	return err
}
