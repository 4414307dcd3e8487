package master

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/usher-go/usher/internal/earlysignals"
	"github.com/usher-go/usher/master/internal/child"
	"golang.org/x/sys/unix"
)

// This file is how this process becomes another program, and what that one finds in
// its environment.

// The environment of a program that takes over.
const (
	upgradeVariable      = earlysignals.Variable // the descriptor of the upgradeState
	upgradeTestVariable  = "USHER_UPGRADE_TEST"  // the descriptor to answer on: it is a test
	upgradeCarryVariable = "USHER_UPGRADE_CARRY" // of a test: the descriptor of an upgradeState to find Config.Carry in
	upgradeErrorVariable = "USHER_UPGRADE_ERROR" // why the new program could not, for the old one
)

// descriptorVariable returns the descriptor whose number is a variable's value, and
// false if there is none.
func descriptorVariable(name string) (fd int, ok bool) {
	value, ok := os.LookupEnv(name)
	if !ok {
		return -1, false
	}
	fd, err := strconv.Atoi(value)
	return fd, err == nil && fd > 2
}

// openExecutable returns an owned descriptor of this program's file, whatever
// its path leads to by now.
func openExecutable() (int, error) {
	const path = "/proc/self/exe"
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	switch err {
	case nil:
		return fd, nil
	case unix.ENOENT:
		return -1, fmt.Errorf("open %s: %w; is /proc mounted?", path, err)
	case unix.EACCES:
		return -1, fmt.Errorf("open %s: %w; this user has to be permitted to read the program's file", path, err)
	}
	return -1, &os.PathError{Op: "open", Path: path, Err: err}
}

// programPath returns the absolute path by which this program was started.
func programPath() string {
	if path, err := exec.LookPath(os.Args[0]); err == nil || errors.Is(err, exec.ErrDot) {
		if path, err = filepath.Abs(path); err == nil {
			return path
		}
	}
	path, _ := os.Executable() // none: then the upgrade says that it cannot start it
	return path
}

// upgradeEnviron returns this process's environment for a program that takes over.
func upgradeEnviron(variables ...string) []string {
	var environ []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, upgradeVariable) {
			environ = append(environ, variable)
		}
	}
	return append(environ, variables...)
}

// pathOfStart is where the path of a program that is to take over was given.
const pathOfStart = "the path by which this program was started"

// execute is execve(2) with descriptors that stay open. It returns only with an error.
func execute(path string, fds []int, variables ...string) error {
	syscall.ForkLock.Lock() // or a child could have them
	defer syscall.ForkLock.Unlock()
	defer func() { _ = setInheritable(fds, false) }() // as before
	if err := setInheritable(fds, true); err != nil {
		return err
	}
	err := syscall.Exec(path, os.Args, upgradeEnviron(variables...))
	return fmt.Errorf("%s: %w", path, child.StartHint(path, pathOfStart, os.NewSyscallError("execve", err)))
}

// setInheritable has an exec keep the descriptors, or close them.
func setInheritable(fds []int, on bool) error {
	flags := unix.FD_CLOEXEC
	if on {
		flags = 0
	}
	for _, fd := range fds {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags); err != nil {
			return os.NewSyscallError("fcntl", err)
		}
	}
	return nil
}
