package child

import "os"

// ProgramState is a program as an upgrade in place hands it over, in JSON: the names of
// the fields are read by programs that are not written yet.
type ProgramState struct {
	FD        int // descriptor, -1: it is not held
	Folder    int // descriptor, -1: there is none
	Argv      []string
	Directory string
	Path      string
	Version   fileVersion
}

// State describes a program. The descriptors stay its own. It is nil for one that was
// not found: the next master looks for it again.
func (p *Program) State() *ProgramState {
	if p.missing != nil {
		return nil
	}
	s := &ProgramState{-1, -1, p.argv, p.directory, p.path, p.version}
	if p.file != nil {
		s.FD = int(p.file.Fd())
	}
	if p.folder != nil {
		s.Folder = int(p.folder.Fd())
	}
	return s
}

// Descriptors returns those that are held.
func (s *ProgramState) Descriptors() (fds []int) {
	for _, fd := range []int{s.FD, s.Folder} {
		if fd >= 0 {
			fds = append(fds, fd)
		}
	}
	return fds
}

// Restore is the reverse of State. It takes ownership of the descriptors. given is as
// in ProgramSettings.
func (s *ProgramState) Restore(given string) *Program {
	p := &Program{argv: s.Argv, given: given, directory: s.Directory, path: s.Path, version: s.Version}
	if s.FD >= 0 {
		p.file = os.NewFile(uintptr(s.FD), s.Path)
	}
	if s.Folder >= 0 {
		p.folder = os.NewFile(uintptr(s.Folder), s.Directory)
	}
	return p
}
