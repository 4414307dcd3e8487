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

// serveCommand is usher serve: this process becomes the master.
type serveCommand struct{}

func (serveCommand) Run(s *sources, r *reading, o *outputs) error {
	config, err := r.config(s)
	if err != nil {
		return err
	}
	if err := checkControlFolder(config.Control); err != nil {
		return err
	}
	config.LogWriter = o.stderr
	if path := string(r.values.logFile); path != "" {
		file, err := openLogFile(path, o.stderr)
		if err != nil {
			return err
		}
		config.LogWriter, config.ReopenLogs = o.add(master.NewLogWriter(file)), file.reopen
	}
	config.Logger = config.LogWriter.Logger(hclog.LoggerOptions{
		Name:       "usher",
		Level:      config.LogLevel,
		JSONFormat: r.values.logFormat == "json",
	})
	if _, takesOver := master.Carried(); !takesOver { // else it was said at the start
		for _, u := range unreadVariables(os.Environ()) {
			config.Logger.Warn("no setting has this variable of the environment", "variable", u.name, "meant", u.meant)
		}
		r.file.warn(config.Logger)
	}
	stdout := o.add(master.NewLogWriter(os.Stdout))
	config.Started = func(status master.Status) {
		s.logDirectory(config.Logger, r.values.directory)
		announce(stdout, status)
	}
	config.Reread = func(inForce *master.Config) (master.Config, error) { return r.reload(s, inForce) }
	return r.locate(master.Run(context.Background(), config))
}

// reload reads the sources again for a reload, and returns what the master is to do from
// then on. r is what was read at the start, and stays as it is. The master calls it on a
// goroutine of the reload's own, one at a time.
func (r *reading) reload(s *sources, inForce *master.Config) (master.Config, error) {
	next, err := s.reread()
	if err != nil {
		return master.Config{}, err
	}
	config, err := next.config(s)
	if err == nil {
		err = next.file.checkWhole(textIn(inForce.Carry))
	}
	if err == nil {
		err = r.values.allows(&next.values)
	}
	if err == nil {
		next.file.warn(inForce.Logger)
		if lost := next.file.lost(textIn(inForce.Carry)); lost != nil {
			inForce.Logger.Warn("the configuration file no longer has settings that it had", "path", next.file.path, "settings", strings.Join(lost, ", "))
		}
	}
	return config, err
}

// announce prints the line that says where the server is.
func announce(w io.Writer, status master.Status) {
	var addresses []string
	for _, l := range status.Listeners {
		addresses = append(addresses, l.URL())
	}
	fmt.Fprintf(w, "usher: serving on %s (master pid %d, %d workers)\n",
		strings.Join(addresses, ", "), status.PID, len(status.Workers))
}
