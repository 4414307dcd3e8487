package child

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// This file is what can be told of a program without starting it: what execve(2) would say,
// as far as the file and its interpreter tell. What the program does, nobody can.

// CheckProgram returns where a program is, or why it cannot be started, and what can be done
// about that. What cannot be told counts as fine: a file that may not be read, or of a
// format that binfmt_misc may have an interpreter for. It may block as long as a file system
// does.
func CheckProgram(s ProgramSettings) (path string, err error) {
	path, err = FindProgram(s.Argv[0], s.Directory)
	if err != nil {
		return "", StartHint(within(s.Directory, s.Argv[0]), s.Given, err)
	}
	if errno := startable(path, s.Directory); errno != 0 {
		return "", StartHint(path, s.Given, &fs.PathError{Op: "start", Path: path, Err: errno})
	}
	return path, nil
}

// startable returns the errno of execve(2) for an executable file, started in a folder; 0: it
// would start, or that cannot be told.
func startable(path, directory string) unix.Errno {
	start, err := firstBytes(path)
	if err != nil || hasHandler(path, start) {
		return 0
	}
	interpreter, script := interpreterOf(start)
	switch {
	case script && interpreter != "":
		return lookAt(within(directory, interpreter))
	case !isELF(start) || !fitsMachine(start):
		return unix.ENOEXEC
	}
	if interpreter := loaderOf(path); interpreter != "" {
		return lookAt(within(directory, interpreter))
	}
	return 0
}

// lookAt returns what execve(2) says of an interpreter, as far as its path and mode tell.
func lookAt(path string) unix.Errno {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return unix.ENOENT
	case err == nil && !info.Mode().IsRegular(), unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS) == unix.EACCES:
		return unix.EACCES
	}
	return 0
}

// elfStart is the beginning of each ELF file (elf(5)), up to the machine.
const elfStart = 20

// startsToo is what a kernel for a machine may have been built to start besides.
var startsToo = map[elf.Machine]elf.Machine{elf.EM_X86_64: elf.EM_386, elf.EM_AARCH64: elf.EM_ARM}

// fitsMachine reports whether an ELF file may be for this machine, by what this process's own
// file says.
func fitsMachine(start []byte) bool {
	own, err := firstBytes("/proc/self/exe")
	if err != nil || len(own) < elfStart {
		return true
	}
	if len(start) < elfStart || start[elf.EI_DATA] != own[elf.EI_DATA] {
		return false
	}
	machine, ours := machineOf(start), machineOf(own)
	return machine == ours || machine == startsToo[ours]
}

// machineOf returns the machine of an ELF file in this process's byte order.
func machineOf(start []byte) elf.Machine {
	return elf.Machine(binary.NativeEndian.Uint16(start[elfStart-2:]))
}

// loaderOf returns the dynamic loader that an ELF file asks for; empty: none, or it cannot be
// told.
func loaderOf(path string) string {
	file, err := elf.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	for _, part := range file.Progs {
		if part.Type == elf.PT_INTERP {
			name, err := io.ReadAll(io.LimitReader(part.Open(), unix.PathMax))
			if err != nil {
				return ""
			}
			return strings.TrimRight(string(name), "\x00")
		}
	}
	return ""
}
