package main

import (
	"errors"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/usher-go/usher/master"
)

// sources are what settings come from, the stronger first: the command line,
// the environment, the configuration file, the defaults. The first two are as
// at the start; the file is read anew by each read. What can be set is in the table
// settings. It belongs to the main goroutine, and then to those of reloads, of which
// there is one at a time.
type sources struct {
	args       []string
	origin     origin
	carried    []byte // the file's text as it is in force, after an upgrade in place; nil: it is to be read
	readBefore bool   // the file was, at the start
}

func newSources(args []string) *sources {
	s := &sources{args: args}
	if text, takesOver := master.Carried(); takesOver {
		s.origin, s.carried = unpack(text)
	}
	if s.origin.Folder == "" {
		s.origin = newOrigin()
	}
	return s
}

// reading is what one reading of the sources gave.
type reading struct {
	context   *kong.Context
	values    values
	directory string // where workers are started, without symlinks; empty: where this process is
	file      configFile
}

// read reads all sources. Errors about the file wrap master.ErrConfig, others
// are about what was typed.
func (s *sources) read() (*reading, error) {
	r := new(reading)
	parser, err := kong.New(new(cli),
		kong.Name("usher"),
		kong.Description("A prefork TCP server: one master accepts, worker processes serve."),
		kong.DefaultEnvars("USHER"),
		kong.Vars{"apps": strings.Join(appNames(), ","), "version": versionLine(), "controls": strings.Join(controlDefaults(), ", ")},
		takeSettings(&r.values),
		kong.Help(printHelp),
		kong.Bind(s, r),
	)
	if err != nil {
		panic(err) // the declarations are wrong
	}
	if r.context, err = parser.Parse(commandHelp(parser.Model.Node, numbersLast(s.args))); err != nil {
		return r, err
	}
	r.values.place(s.origin)
	r.values.Listen = joinTrust(r.values.Listen)
	return r, nil
}

// reread is read for a reload, which needs a file that can be read again.
func (s *sources) reread() (*reading, error) {
	s.readBefore = true
	return s.read()
}

// BeforeResolve reads the file, if the command takes the settings. kong calls it once the
// command line is parsed and the environment read.
func (*cli) BeforeResolve(context *kong.Context, s *sources, r *reading) error {
	command := context.Selected()
	if command == nil || !command.Tag.Has(settingsTag) {
		return nil
	}
	if err := s.findDirectory(r, context.FlagValue(findFlag(command, "directory")).(string)); err != nil {
		return err
	}
	path := context.FlagValue(findFlag(command, "config")).(string)
	if path == "" {
		return nil
	}
	path = joined(r.directory, path)
	context.AddResolver(&r.file)
	if text := s.carried; text != nil {
		s.carried = nil // from now on it is read
		return r.file.parse(path, text)
	}
	if s.readBefore {
		if err := checkRereadable(path); err != nil {
			return err
		}
	}
	return r.file.read(path)
}

// findFlag returns the flag of a command by its name, or nil.
func findFlag(command *kong.Node, name string) *kong.Flag {
	for _, flag := range command.Flags {
		if flag.Name == name {
			return flag
		}
	}
	return nil
}

// inEnvironment returns the variable that sets a flag, or nothing.
func inEnvironment(flag *kong.Flag) string {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return name
		}
	}
	return ""
}

// locate adds to an error about a setting where its value comes from, unless
// it was typed.
func (r *reading) locate(err error) error {
	wrong, ok := errors.AsType[*master.ConfigError](err)
	if !ok {
		return err
	}
	flag := findFlag(r.context.Selected(), wrong.Key)
	for _, path := range r.context.Path {
		if flag != nil && path.Flag == flag && !path.Resolved {
			return err
		}
	}
	if flag != nil && inEnvironment(flag) != "" {
		return configError(inEnvironment(flag) + ": " + wrong.Problem)
	}
	if entry, found := r.file.entries[wrong.Key]; found {
		return r.file.wrong(entry.line, wrong.Problem)
	}
	return err
}
