package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/usher-go/usher/internal/logfile"
	"github.com/usher-go/usher/master"
)

// checkCommand takes the settings, as serve does, and says what that would do.
type checkCommand struct{}

// Help is what usher check --help adds.
func (checkCommand) Help() string {
	return `It reads settings and files, and the beginning of the program, and starts nothing. If a server answers on the control socket, it warns of settings that a reload of that one could not change. It cannot tell whether the addresses are free, nor what the program does: one that ends at once is found out by usher serve, and by usher reload, which then changes nothing.

  usher check --config usher.toml && usher reload`
}

// Run exits with 2 if serve would refuse this, and prints one line if it would not, and
// warnings.
func (checkCommand) Run(s *sources, r *reading) error {
	config, err := r.config(s)
	if err != nil {
		return err
	}
	if _, err := config.ProgramPath(); err != nil {
		return r.locate(&master.ConfigError{Key: "program", Problem: "program: " + err.Error()})
	}
	if err := r.checkLogs(&config); err != nil {
		return err
	}
	certificates, warnings, err := config.CheckTLS()
	if err != nil {
		return r.locate(err)
	}
	if r.file.unended() {
		warnings = append(warnings, r.file.end()+": the last line has no end; is the file cut off?")
	}
	warnings = append(warnings, changesFixed(&config)...)
	for _, u := range unreadVariables(os.Environ()) {
		warnings = append(warnings, u.String())
	}
	out := printableWriter{os.Stdout}
	for _, warning := range warnings {
		fmt.Fprintf(out, "warning: %s\n", warning)
	}
	printCertificates(out, certificates)
	_, err = fmt.Fprintf(out, "ok: would serve on %s with %d workers of %s\n",
		strings.Join(config.Listen, ", "), config.Workers, strings.Join(config.Program, " "))
	return err
}

// checkLogs refuses a log that serve could not open.
func (r *reading) checkLogs(config *master.Config) error {
	if path := string(r.values.logFile); path != "" {
		if err := logfile.Check(path); err != nil {
			return fmt.Errorf("log file: %w", err)
		}
	}
	return r.locate(config.CheckAccessLog())
}
