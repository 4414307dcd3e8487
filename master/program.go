package master

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

// program is what the workers of one generation are started from: found once, and
// held open, so that a worker that crashes is followed by one of the same program,
// whatever is at its path by then. A reload finds the next generation's.
//
// What can be held is an executable (ELF). A script cannot: its interpreter opens it
// by its path, and what it imports too.
type program struct {
	argv      []string
	given     string   // where an operator gave it: Config.ProgramGiven
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

// openProgram finds a configuration's program. It may block as long as a file system
// does. An error is about the folder: what cannot be started is told by launch.
func openProgram(c *Config) (*program, error) {
	p := &program{argv: c.Program, given: c.ProgramGiven}
	if c.Directory != "" {
		real, err := filepath.EvalSymlinks(c.Directory)
		if err == nil {
			real, err = filepath.Abs(real)
		}
		if err != nil {
			return nil, &ConfigError{Key: "directory", Problem: fmt.Sprintf("directory %s: %v", c.Directory, err)}
		}
		fd, err := unix.Open(real, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, &ConfigError{Key: "directory", Problem: fmt.Sprintf("directory %s: %v", real, err)}
		}
		p.directory, p.folder = real, os.NewFile(uintptr(fd), real)
	}
	p.path, p.missing = findProgram(p.argv[0], p.directory)
	if p.missing == nil {
		p.hold()
	}
	return p, nil
}

// ProgramPath returns where Program is, or why it cannot be started.
func (c Config) ProgramPath() (string, error) { return findProgram(c.Program[0], c.Directory) }

// findProgram returns the path of a program that is written relative to a folder.
func findProgram(name, directory string) (string, error) {
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
func (p *program) hold() {
	fd, err := unix.Open(p.path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return // to start it will tell
	}
	file := os.NewFile(uintptr(fd), p.path)
	version, err := versionOf(file)
	if err != nil || !isExecutable(file) {
		_ = file.Close() // nothing was done with it
		return
	}
	p.file, p.version = file, version
}

// hint adds to an error of starting the program what can be done about it.
func (p *program) hint(err error) error {
	path := p.path
	if path == "" {
		path = p.argv[0]
	}
	return startHint(path, p.given, err)
}

func versionOf(file *os.File) (fileVersion, error) {
	info, err := file.Stat()
	if err != nil {
		return fileVersion{}, err
	}
	return versionAt(info), nil
}

func versionAt(info os.FileInfo) fileVersion {
	return fileVersion{fileid.Of(info), info.Size(), info.ModTime().UnixNano()}
}

const elfMagic = "\x7fELF"

// isExecutable reports whether the kernel itself loads a file. One that cannot be
// read is none that an interpreter could.
func isExecutable(held *os.File) bool {
	file, err := os.OpenFile(descriptorPath(held), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return errors.Is(err, os.ErrPermission)
	}
	defer file.Close()
	magic := make([]byte, len(elfMagic))
	_, err = io.ReadFull(file, magic)
	return err == nil && string(magic) == elfMagic
}

func descriptorPath(file *os.File) string {
	return "/proc/self/fd/" + strconv.Itoa(int(file.Fd()))
}

// start returns by which path to start the program: its own as long as the file there
// is the generation's, else what is held. Then /proc/self/exe of the worker ends in
// "(deleted)", or names where the file was moved to, and its short name (comm) is the
// descriptor's number; its arguments are the same.
func (p *program) start() (path string, err error) {
	if p.missing != nil {
		return "", p.missing
	}
	if p.file == nil {
		return p.path, nil
	}
	if info, err := os.Stat(p.path); err == nil && versionAt(info) == p.version {
		return p.path, nil
	}
	return descriptorPath(p.file), nil
}

// enter returns by which path to enter the folder: its own, unless something else is
// there by now, or nothing.
func (p *program) enter() string {
	if p.folder == nil {
		return p.directory
	}
	held, err := p.folder.Stat()
	if there, lost := os.Stat(p.directory); err == nil && lost == nil && os.SameFile(held, there) {
		return p.directory
	}
	return descriptorPath(p.folder)
}

// environ is a worker's environment: PWD names the folder that it is started in.
func (p *program) environ(environ []string) []string {
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

// close gives the program up. A nil one was not opened.
func (p *program) close() {
	if p != nil {
		_, _ = p.file.Close(), p.folder.Close() // they were only held, if at all
	}
}

// programEstate is a program for the master that takes over.
type programEstate struct {
	FD        int // descriptor, -1: it is not held
	Folder    int // descriptor, -1: there is none
	Argv      []string
	Directory string
	Path      string
	Version   fileVersion
}

// estate describes a program; nil for a nil one.
func (p *program) estate() *programEstate {
	if p == nil || p.missing != nil {
		return nil // the next one looks for it again
	}
	e := &programEstate{-1, -1, p.argv, p.directory, p.path, p.version}
	if p.file != nil {
		e.FD = int(p.file.Fd())
	}
	if p.folder != nil {
		e.Folder = int(p.folder.Fd())
	}
	return e
}

// descriptors returns those that are held.
func (e *programEstate) descriptors() (fds []int) {
	if e == nil {
		return nil
	}
	for _, fd := range []int{e.FD, e.Folder} {
		if fd >= 0 {
			fds = append(fds, fd)
		}
	}
	return fds
}

// program is the reverse. It takes ownership of the descriptors.
func (e *programEstate) program() *program {
	p := &program{argv: e.Argv, directory: e.Directory, path: e.Path, version: e.Version}
	if e.FD >= 0 {
		p.file = os.NewFile(uintptr(e.FD), e.Path)
	}
	if e.Folder >= 0 {
		p.folder = os.NewFile(uintptr(e.Folder), e.Directory)
	}
	return p
}

// closePrograms gives those up that no worker will be started from any more.
func (s *supervisor) closePrograms() {
	for generation, p := range s.programs {
		if generation != s.generation && generation != s.newest() && len(s.ofGeneration(generation)) == 0 {
			p.close()
			delete(s.programs, generation)
		}
	}
}

// ofGeneration returns all slots of a generation.
func (s *supervisor) ofGeneration(generation int) (slots []*slot) {
	for slot := range s.slots.all() {
		if slot.generation == generation {
			slots = append(slots, slot)
		}
	}
	return slots
}

// setProgram takes ownership of a generation's program. A reload that failed may
// have had one for the same number.
func (s *supervisor) setProgram(generation int, p *program) {
	s.programs[generation].close()
	s.programs[generation] = p
}
