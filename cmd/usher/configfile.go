package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/alecthomas/kong"
	"github.com/usher-go/usher/master"
)

// configFile is the file given with --config. It gives kong the values of flags
// that neither the command line nor the environment sets. The zero value is no
// file.
type configFile struct {
	text    []byte
	path    string
	entries map[string]entry
}

// entry is what the file says of one setting.
type entry struct {
	value any // as package toml has it: string, int64, bool, []any, …
	line  int // 0: not known
}

// maxConfigFile is the longest file that is read, in bytes: what is longer was
// not meant as a configuration.
const maxConfigFile = 1 << 20

// read reads the file and checks each value, whether it is in force or not.
func (f *configFile) read(path string) error {
	text, err := readFile(path)
	if err != nil {
		return configError(err.Error())
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return configError(path + " is empty; one without settings needs a comment (# …)")
	}
	return f.parse(path, text)
}

// parse is read for a text that was at path.
func (f *configFile) parse(path string, text []byte) error {
	f.path, f.text, f.entries = path, text, make(map[string]entry)
	var undecoded map[string]toml.Primitive
	document, err := toml.Decode(string(text), &undecoded)
	if err != nil {
		if broken, ok := errors.AsType[toml.ParseError](err); ok {
			problem := broken.Message
			if strings.Contains(problem, "unexpected EOF") {
				problem += "; is it cut off?"
			}
			return f.wrong(broken.Position.Line, problem)
		}
		return f.wrong(0, err.Error())
	}
	for _, key := range document.Keys() {
		name := key[0]
		if _, seen := f.entries[name]; seen {
			continue // its tables inside
		}
		e := entryOf(document, undecoded[name])
		f.entries[name] = e
		row := inFile(name)
		if row == nil {
			return f.wrong(e.line, unknownKey(name))
		}
		if want := row.mismatch(e.value); want != "" {
			return f.wrong(e.line, fmt.Sprintf("%s is %s, want %s", name, show(e.value), want))
		}
	}
	return nil
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxConfigFile+1))
	if err == nil && len(text) > maxConfigFile {
		err = fmt.Errorf("%s: longer than %d bytes, want a configuration", path, maxConfigFile)
	}
	return text, err
}

// located takes any value, and refuses it: the decoder says on which line a value is
// for errors only.
type located struct{ value any }

var errLocated = errors.New("located")

func (l *located) UnmarshalTOML(value any) error {
	l.value = value
	return errLocated
}

func entryOf(document toml.MetaData, p toml.Primitive) entry {
	var l located
	at, _ := errors.AsType[toml.ParseError](document.PrimitiveDecode(p, &l))
	return entry{l.value, at.Position.Line}
}

func unknownKey(name string) string {
	meant := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	if inFile(meant) != nil {
		return fmt.Sprintf("unknown key %q, want %s", name, meant)
	}
	return fmt.Sprintf("unknown key %q, want the name of a flag of usher serve without its dashes, or program", name)
}

func show(value any) string {
	switch value := value.(type) {
	case string:
		return fmt.Sprintf("%q", value)
	case []any:
		var parts []string
		for _, element := range value {
			parts = append(parts, show(element))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any, []map[string]any:
		return "a table"
	}
	return fmt.Sprint(value)
}

// Validate is part of kong.Resolver. All is checked when the file is read.
func (f *configFile) Validate(*kong.Application) error { return nil }

// Resolve is part of kong.Resolver, which lets it win over the environment
// unless it keeps silent.
func (f *configFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	e, found := f.entries[flag.Name]
	if !found || inEnvironment(flag) != "" {
		return nil, nil
	}
	if list, ok := e.value.([]any); ok {
		return list, nil
	}
	return fmt.Sprint(e.value), nil
}

// strings returns a list that is no flag.
func (f *configFile) strings(key string) (list []string) {
	elements, _ := f.entries[key].value.([]any) // checked when it was read
	for _, element := range elements {
		list = append(list, element.(string))
	}
	return list
}

// wrong returns what is wrong in the file, and where.
func (f *configFile) wrong(line int, problem string) error {
	return configError(f.at(line) + ": " + problem)
}

// at returns the file's path, and the line if it is known.
func (f *configFile) at(line int) string {
	if line > 0 {
		return fmt.Sprintf("%s:%d", f.path, line)
	}
	return f.path
}

// configError is an error about the configuration that says itself where.
type configError string

func (e configError) Error() string { return string(e) }
func (e configError) Unwrap() error { return master.ErrConfig }
