package child

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/usher-go/usher/master/internal/fileid"
	"golang.org/x/sys/unix"
)

// Program is what the workers of one generation are started from: found once, and
// held open, so that a worker that crashes is followed by one of the same program,
// whatever is at its path by then. A reload finds the next generation's.
//
// What can be held is an executable (ELF). A script cannot: its interpreter opens it
// by its path, and what it imports too.
type Program struct {
	argv      []string
	given     string   // see ProgramSettings
	directory string   // that workers are started in: no symlink in it; empty: the master's
	folder    *os.File // the same, held, should it be removed; nil without a directory
	path      string   // empty: it was not found
	missing   error    // why
	file      *os.File
	version   fileVersion // of file
}

// fileVersion tells what is at a path from what was there.
type fileVersion struct {
	ID         fileid.ID
	Size       int64
	MtimeNanos int64
}

// ProgramSettings are which program to start, and where.
type ProgramSettings struct {
	// Argv are its path and arguments. A path without a slash is looked up in PATH.
	Argv []string
	// Directory is the folder that workers are started in, and that a relative path
	// counts from; empty: this process's own.
	Directory string
	// Given is where an operator gave the path, as in "check the path after --"; empty:
	// nothing is said of that.
	Given string
}

// OpenProgram finds a program. It may block as long as a file system does. An error is
// about the folder: what cannot be started is told by Launch.
func OpenProgram(s ProgramSettings) (*Program, error) {
	p := &Program{argv: s.Argv, given: s.Given}
	if s.Directory != "" {
		real, err := filepath.EvalSymlinks(s.Directory)
		if err == nil {
			real, err = filepath.Abs(real)
		}
		if err != nil {
			return nil, fmt.Errorf("directory %s: %w", s.Directory, err)
		}
		fd, err := unix.Open(real, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("directory %s: %w", real, err)
		}
		p.directory, p.folder = real, os.NewFile(uintptr(fd), real)
	}
	p.path, p.missing = FindProgram(p.argv[0], p.directory)
	if p.missing == nil {
		p.hold()
	}
	return p, nil
}

// FindProgram returns the path of a program that is written relative to a folder.
func FindProgram(name, directory string) (string, error) {
	if strings.Contains(name, "/") {
		name = within(directory, name)
	}
	path, err := exec.LookPath(name)
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return "", err
	}
	return within(directory, path), nil
}

func within(directory, path string) string {
	if directory == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(directory, path)
}

// hold opens the file, if it is one that can be started from its descriptor. It
// needs no right to read it.
func (p *Program) hold() {
	fd, err := unix.Open(p.path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return // Launch will say what is wrong
	}
	file := os.NewFile(uintptr(fd), p.path)
	version, err := versionOf(file)
	if err != nil || !isExecutable(file) {
		_ = file.Close() // nothing was done with it
		return
	}
	p.file, p.version = file, version
}

// Hint adds to an error of starting the program what can be done about it.
func (p *Program) Hint(err error) error {
	path := p.path
	if path == "" {
		path = within(p.directory, p.argv[0])
	}
	return StartHint(path, p.given, err)
}

func versionOf(file *os.File) (fileVersion, error) {
	info, err := file.Stat()
	if err != nil {
		return fileVersion{}, err
	}
	return versionAt(info), nil
}

// versionAt is versionOf for what package os has looked at.
func versionAt(info os.FileInfo) fileVersion {
	return fileVersion{fileid.Of(info), info.Size(), info.ModTime().UnixNano()}
}

const elfMagic = "\x7fELF"

// isExecutable reports whether the kernel itself loads a file. One that this user may
// not read counts as such: no interpreter could read it either.
func isExecutable(held *os.File) bool {
	file, err := os.OpenFile(pathOf(held), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return errors.Is(err, os.ErrPermission)
	}
	defer file.Close()
	magic := make([]byte, len(elfMagic))
	_, err = io.ReadFull(file, magic)
	return err == nil && isELF(magic)
}

// pathOf returns a path that leads to an open file as long as it is open.
func pathOf(file *os.File) string {
	return "/proc/self/fd/" + strconv.Itoa(int(file.Fd()))
}

// startPath returns the path to start the program by: its own, as long as the file there is
// the generation's; else one that leads to what is held. A worker that is started by the
// latter has a /proc/self/exe that ends in "(deleted)", or names where the file was moved
// to, and its short name (comm) is the descriptor's number; its arguments are the same.
func (p *Program) startPath() (path string, err error) {
	if p.missing != nil {
		return "", p.missing
	}
	if p.file == nil {
		return p.path, nil
	}
	if info, err := os.Stat(p.path); err == nil && versionAt(info) == p.version {
		return p.path, nil
	}
	return pathOf(p.file), nil
}

// folderPath returns the path to enter the folder by: its own, unless something else is there
// by now, or nothing; then one that leads to what is held.
func (p *Program) folderPath() string {
	if p.folder == nil {
		return p.directory
	}
	held, err := p.folder.Stat()
	if there, lost := os.Stat(p.directory); err == nil && lost == nil && os.SameFile(held, there) {
		return p.directory
	}
	return pathOf(p.folder)
}

// environ returns a worker's environment, made of the master's: PWD names the folder that
// it is started in.
func (p *Program) environ(environ []string) []string {
	if p.directory == "" {
		return environ
	}
	var rest []string
	for _, variable := range environ {
		if !strings.HasPrefix(variable, "PWD=") {
			rest = append(rest, variable)
		}
	}
	return append(rest, "PWD="+p.directory)
}

// Close gives the program up.
func (p *Program) Close() { _, _ = p.file.Close(), p.folder.Close() } // they were only held, if at all
