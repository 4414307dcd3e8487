package logfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Check returns the error that Open would, as far as that can be told without opening or
// making anything: a reader of a FIFO would take it for the end, and a file that is made
// belongs to who checks, and may keep out who serves. Not told is whether a FIFO that this
// user may not read has a reader. It blocks for as long as a file system does.
func Check(path string) error {
	if fd, ok := descriptorAt(path); ok {
		file, err := Duplicate(fd, path)
		if err == nil {
			_ = file.Close() // nothing was written to it
		}
		return err
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = mayMake(path)
	case err != nil:
		err = errors.Unwrap(err) // a PathError's, which says stat
	case info.IsDir():
		err = unix.EISDIR
	case info.Mode()&fs.ModeSocket != 0:
		err = unix.ENXIO
	default:
		err = unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS)
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	return nil
}

// mayMake returns why a file cannot be made, if that is so: where a symlink without a
// target leads, there.
func mayMake(path string) error {
	for range 40 { // as many as Linux follows (path_resolution(7))
		target, err := os.Readlink(path)
		if err != nil {
			break // the folder is to be looked at
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return unix.Faccessat(unix.AT_FDCWD, filepath.Dir(path), unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}
