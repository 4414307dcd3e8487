package main

import (
	"fmt"
	"io/fs"
	"os"

	"github.com/BurntSushi/toml"
)

// A file that is being copied, or was saved to a full disk, ends early, and may well be
// a good configuration: of a server at the default address, or with the default program.
// So a reload refuses a file without a setting that the one in force has, if the row of
// that setting is marked as kept.

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
	return nil
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
