package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/master"
)

type serveCommand struct {
	Settings settings `embed:""`
}

func (c *serveCommand) Run(s *sources, r *reading) error {
	config, err := c.Settings.config(s, r)
	if err != nil {
		return err
	}
	var output io.Writer = os.Stderr
	if path := s.absolute(c.Settings.LogFile); path != "" {
		file, err := openLogFile(path)
		if err != nil {
			return err
		}
		output, config.ReopenLogs = file, file.reopen
	}
	config.Logger = hclog.New(&hclog.LoggerOptions{
		Name:       "usher",
		Level:      config.LogLevel,
		JSONFormat: c.Settings.LogFormat == "json",
		Output:     output,
	})
	config.Started = announce
	config.Reread = func() (master.Config, error) { return c.reread(s) }
	return master.Run(context.Background(), config)
}

// reread returns the configuration anew, for a reload. It changes nothing.
func (c *serveCommand) reread(s *sources) (master.Config, error) {
	r, err := s.read()
	if err != nil {
		return master.Config{}, err
	}
	next := &r.cli.Serve.Settings
	if err := c.Settings.allows(next); err != nil {
		return master.Config{}, err
	}
	return next.config(s, r)
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
