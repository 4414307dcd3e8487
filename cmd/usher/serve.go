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

func (c *serveCommand) Run(s *sources, r *reading, o *outputs) error {
	config, err := c.Settings.config(s, r)
	if err != nil {
		return err
	}
	if err := checkControlFolder(config.Control); err != nil {
		return err
	}
	config.LogWriter = o.stderr
	if path := s.origin.fixed(c.Settings.LogFile); path != "" {
		file, err := openLogFile(path, o.stderr)
		if err != nil {
			return err
		}
		config.LogWriter, config.ReopenLogs = o.add(master.NewLogWriter(file)), file.reopen
	}
	config.Logger = config.LogWriter.Logger(hclog.LoggerOptions{
		Name:       "usher",
		Level:      config.LogLevel,
		JSONFormat: c.Settings.LogFormat == "json",
	})
	stdout := o.add(master.NewLogWriter(os.Stdout))
	config.Started = func(status master.Status) {
		s.sayDirectory(config.Logger, c.Settings.Directory)
		announce(stdout, status)
	}
	config.Reread = func(inForce *master.Config) (master.Config, error) { return c.reread(s, inForce) }
	return master.Run(context.Background(), config)
}

// reread returns the configuration anew, for a reload. It changes nothing.
func (c *serveCommand) reread(s *sources, inForce *master.Config) (master.Config, error) {
	r, err := s.reread()
	if err != nil {
		return master.Config{}, err
	}
	next := &r.cli.Serve.Settings
	if err := c.Settings.allows(next); err != nil {
		return master.Config{}, err
	}
	config, err := next.config(s, r)
	if err == nil {
		err = r.file.complete(textIn(inForce.Carry))
	}
	return config, err
}

// announce prints the line that says where the server is.
func announce(w io.Writer, status master.Status) {
	var addresses []string
	for _, l := range status.Listeners {
		addresses = append(addresses, l.Address)
	}
	fmt.Fprintf(w, "usher: serving on %s (master pid %d, %d workers)\n",
		strings.Join(addresses, ", "), status.PID, len(status.Workers))
}
