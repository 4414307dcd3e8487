package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/BurntSushi/toml"
	"github.com/hashicorp/go-hclog"
)

// A file that is being copied, or was saved to a full disk, ends early, and may well be
// a good configuration: of a server at the default address, or with the default program.
// So a reload refuses a file without a setting that the one in force has, if the row of
// that setting is marked as kept; and one whose last line has no end, if the one in force
// had all ends: its last value may be a part of what it was. What else the file has lost, and
// a last line without an end that was never there, is for people to judge: a warning.

// checkWhole refuses a file that lacks what the text in force has.
func (f *configFile) checkWhole(inForce []byte) error {
	if f.path == "" {
		return nil
	}
	var before map[string]toml.Primitive
	if _, err := toml.Decode(string(inForce), &before); err != nil {
		return nil // it has been in force: another version of usher took it
	}
	for _, row := range settings {
		_, was := before[row.key]
		if _, is := f.entries[row.key]; row.kept && was && !is {
			return f.wrong(0, fmt.Sprintf("%s is missing, which the file had; is it cut off? To go back to the default, write %s = %s", row.key, row.key, row.kind().inFile(row.byDefault)))
		}
	}
	if f.unended() && bytes.HasSuffix(inForce, []byte("\n")) {
		return configError(f.end() + ": the last line has no end, which it had; is the file cut off? If it is whole, add a newline")
	}
	return nil
}

// unended reports whether the last line has no end.
func (f *configFile) unended() bool { return f.path != "" && !bytes.HasSuffix(f.text, []byte("\n")) }

// end returns where the file ends.
func (f *configFile) end() string { return f.at(1 + bytes.Count(f.text, []byte("\n"))) }

// warn logs that the file may be cut off, if it may.
func (f *configFile) warn(log hclog.Logger) {
	if f.unended() {
		log.Warn("the last line of the configuration file has no end, is the file cut off?", "path", f.end())
	}
}

// lost returns the keys that the text in force has and the file has not.
func (f *configFile) lost(inForce []byte) (keys []string) {
	var before map[string]toml.Primitive
	if _, err := toml.Decode(string(inForce), &before); err != nil || f.path == "" {
		return nil // see checkWhole
	}
	for key := range before {
		if _, is := f.entries[key]; !is {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// checkRereadable refuses a path that can be read once only: a pipe, for one.
func checkRereadable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return configError(err.Error())
	}
	kind := ""
	switch info.Mode().Type() {
	case fs.ModeNamedPipe:
		kind = "a pipe"
	case fs.ModeSocket:
		kind = "a socket"
	case fs.ModeDevice | fs.ModeCharDevice:
		kind = "a device"
	default:
		return nil
	}
	return configError(fmt.Sprintf("%s is %s, which can be read once only, and was at the start: for reloads, give --config a file", path, kind))
}
