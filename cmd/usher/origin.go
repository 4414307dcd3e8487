package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"
)

// origin is what relative paths count from, as it was at the start. An upgrade in place
// hands it on: the process is still in that folder, whatever its path leads to by then.
//
// Where releases are folders, and a symlink says which one is current, a server is
// started in that symlink, by its name. So the name is kept, and each reload follows
// it anew: to the configuration, the program and the folder of its workers, all of one
// release. What is there once, such as the pid file, stays where it was made.
type origin struct {
	Folder string // by its name, and absolute unless it was removed
	Base   string // where --directory led at the start: what stays counts from it
}

// madePath is the path of what the master makes at the start, and which stays where
// it was made: a relative one counts from origin.Base.
type madePath string

// outputPath is a madePath, or - for standard output, which a reload may change.
type outputPath string

// newOrigin returns the folder that the process was started in, by the name that $PWD
// has if that is one of it, else by that of getcwd(2).
func newOrigin() origin {
	folder, err := os.Getwd()
	if err != nil {
		folder = "." // it was removed; a relative path will not be found, and the error names it
	}
	return origin{Folder: folder}
}

// findDirectory finds out where --directory leads now. A folder that is named has to exist; the
// one of the start may be gone, if no path needs it.
func (s *sources) findDirectory(r *reading, flag string) error {
	name := joined(s.origin.Folder, flag)
	real, err := filepath.EvalSymlinks(name)
	if err == nil {
		var info os.FileInfo
		if info, err = os.Stat(real); err == nil && !info.IsDir() {
			err = fmt.Errorf("%s is not a folder", real)
		}
	}
	switch {
	case err != nil && flag != "":
		return configError(fmt.Sprintf("directory %s: %v", name, err))
	case err == nil && filepath.IsAbs(real):
		r.directory = real
	}
	if s.origin.Base == "" {
		s.origin.Base = joined(s.origin.Folder, r.directory)
	}
	return nil
}

// joined returns a path that counts from a folder.
func joined(folder, path string) string {
	if path == "" {
		return folder
	}
	if filepath.IsAbs(path) || folder == "" {
		return path
	}
	return filepath.Join(folder, path)
}

// placed returns the path of what is made at the start, counted from where --directory
// led then. Of none, which is empty, it returns none.
func (o origin) placed(path string) string {
	if path == "" {
		return ""
	}
	return joined(o.Base, path)
}

// logDirectory logs what relative paths count from: loudly if it is not what an
// operator would think.
func (s *sources) logDirectory(log hclog.Logger, flag string) {
	level, reason := hclog.Debug, "--directory"
	if flag == "" {
		reason = "$PWD"
		if os.Getenv("PWD") != s.origin.Folder {
			level, reason = hclog.Info, "getcwd(2), since $PWD does not name it: a symlink to it is not known, and not followed by reloads"
		}
	}
	log.Log(level, "relative paths count from", "path", joined(s.origin.Folder, flag), "reason", reason)
}

// packed is what an upgrade in place hands on, as JSON: master.Config.Carry.
type packed struct {
	Folder, Base string
	Text         []byte // of the configuration file in force; nil: there is none
}

func (o origin) pack(text []byte) []byte {
	b, _ := json.Marshal(packed{o.Folder, o.Base, text}) // strings and bytes never fail
	return b
}

// unpack is the reverse of pack. An older usher hands on the text of the file alone,
// which does not begin with a brace, since it is TOML.
func unpack(b []byte) (o origin, text []byte) {
	if len(b) == 0 || b[0] != '{' {
		return origin{}, b
	}
	var p packed
	if json.Unmarshal(b, &p) != nil {
		return origin{}, nil // then the file is read
	}
	return origin{p.Folder, p.Base}, p.Text
}

// textIn returns the text of the configuration file in what an upgrade hands on.
func textIn(b []byte) []byte {
	_, text := unpack(b)
	return text
}
