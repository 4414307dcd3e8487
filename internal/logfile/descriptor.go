package logfile

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// descriptorAt returns which descriptor of this process a path names: /dev/stderr,
// /dev/fd/2, /proc/self/fd/2, or a symlink to such a one. To open it would not give
// what it is: a socket cannot be opened (ENXIO), a pipe would never be without a
// reader, and in a file two descriptors would write over each other.
func descriptorAt(path string) (fd int, ok bool) {
	for range 10 { // links that lead in a circle
		folder, name := filepath.Split(path)
		if n, err := strconv.Atoi(name); err == nil && isDescriptors(folder) {
			return n, true
		}
		target, err := os.Readlink(path)
		if err != nil {
			return -1, false
		}
		if !filepath.IsAbs(target) {
			target = folder + target
		}
		path = target
	}
	return -1, false
}

// isDescriptors reports whether a folder is the one of this process's descriptors
// (proc(5)).
func isDescriptors(folder string) bool {
	real, err := filepath.EvalSymlinks(folder)
	if err != nil || !strings.HasPrefix(real, "/proc/") {
		return false
	}
	mine, err := filepath.EvalSymlinks("/proc/self/fd")
	return err == nil && real == mine
}

// Duplicate returns a file of its own for what a descriptor is, by a name for errors. The
// caller owns it.
func Duplicate(fd int, path string) (*os.File, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(n), path), nil
}
