package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/master"
)

// values are what the settings are, as one reading of the sources has them. The
// fields of settings point into it.
type values struct {
	master.Config // what the master takes as it was set; the rest is filled in by config

	configFile string
	directory  string // by its name; Config.Directory is where that leads
	logFile    madePath
	logLevel   string
	logFormat  string
	root       string // of the app files; relative ones count from Config.Directory
	list       bool
}

// place has the paths of what is made at the start count from where they did then.
func (v *values) place(o origin) {
	for _, row := range settings {
		switch path := row.field(v).(type) {
		case *madePath:
			*path = madePath(o.placed(string(*path)))
		case *outputPath:
			if *path != master.StandardOutput {
				*path = outputPath(o.placed(string(*path)))
			}
		}
	}
}

// joinTrust mends addresses that were cut at the commas of their lists of networks, as
// flags and variables are: what begins with a network, or an address without a port, is
// none to listen on, and belongs to the one before. A blank beside a comma is no part of one.
func joinTrust(addresses []string) (joined []string) {
	for _, part := range addresses {
		part = strings.TrimSpace(part)
		network, _, _ := strings.Cut(part, "&")
		_, isNetwork := netip.ParsePrefix(network)
		_, isAddress := netip.ParseAddr(network)
		if last := len(joined) - 1; last >= 0 && (isNetwork == nil || isAddress == nil) && strings.Contains(joined[last], "trust=") {
			joined[last] += "," + part
			continue
		}
		joined = append(joined, part)
	}
	return joined
}

// allows refuses a reload that changes what only a new master can. Defaults are filled
// in, of both.
func (v *values) allows(next *values) error {
	var changed []string
	for _, row := range settings {
		if row.fixed && !reflect.DeepEqual(row.field(v), row.field(next)) {
			changed = append(changed, row.key)
		}
	}
	return master.CannotChange(changed)
}

// config returns what the master is to do. Its errors are about what was typed
// or wrap master.ErrConfig.
func (r *reading) config(s *sources) (master.Config, error) {
	r.values.FillIn() // so that allows takes a 0 that stands for a default for that default
	config := r.values.Config
	var err error
	if err := r.values.checkFiles(); err != nil {
		return master.Config{}, r.locate(err)
	}
	config.Program, config.ProgramGiven, err = r.program(s)
	switch {
	case errors.Is(err, master.ErrConfig):
		return master.Config{}, r.locate(err)
	case err != nil:
		return master.Config{}, usageError{err}
	}
	config.PrivateControl = config.Control == defaultControl().path && defaultControl().private
	config.LogLevel = hclog.LevelFromString(r.values.logLevel)
	config.Version = version()
	config.Directory = r.directory
	config.Carry = s.origin.pack(r.file.text)
	config.Settings = r.inForce(&config)
	return config, r.locate(config.Check())
}

// program returns what to start as a worker, and where that was given: the program
// after --, or the file's, or this one as a worker that runs an app.
func (r *reading) program(s *sources) (program []string, given string, err error) {
	if typed := r.values.Program; len(typed) > 0 {
		if !slices.Contains(s.args, "--") {
			return nil, "", fmt.Errorf("unexpected argument %s; a worker program comes after --", typed[0])
		}
		return typed, "the path after --", nil
	}
	if program := r.file.strings("program"); len(program) > 0 {
		return program, "program at " + r.file.at(r.file.entries["program"].line), nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, "", errors.New("cannot find this program's own file; give a worker program after --")
	}
	program, given = []string{self, "worker", r.values.App}, "usher's own file, which has the app "+r.values.App
	if r.values.App == filesApp {
		args, err := r.filesArguments()
		if err != nil {
			return nil, "", err
		}
		program = append(program, args...)
	}
	return program, given, nil
}
