package master

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// writePIDFile puts the master's pid into a file, whole or not at all. An old file is
// replaced; a symlink stays, and leads to the new one. What is no regular file, as a
// device or a FIFO, is written to, and stays.
func writePIDFile(path string) error {
	if err := putPID(path); err != nil {
		return fmt.Errorf("pid file %s: %w", path, err)
	}
	return nil
}

func putPID(path string) error {
	text := strconv.Itoa(os.Getpid()) + "\n"
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case info.IsDir():
		return unix.EISDIR
	case !info.Mode().IsRegular():
		return writeTo(path, text)
	}
	target, err := destination(path)
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(target), filepath.Base(target)+".*")
	if err != nil {
		return err
	}
	_, err = temporary.WriteString(text)
	if err == nil {
		err = temporary.Chmod(0o644)
	}
	if closed := temporary.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temporary.Name(), target)
	}
	if err != nil {
		_ = os.Remove(temporary.Name()) // the first error is the one to report
	}
	return err
}

// writeTo writes to what is no file, and does not wait for a FIFO's reader.
func writeTo(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("%w; nobody reads there, or it is a socket", unix.ENXIO)
	}
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// maxLinks is how many symlinks are followed, as by the kernel (path_resolution(7)).
const maxLinks = 40

// destination is where the symlinks lead that path may be, whether there is
// anything or not.
func destination(path string) (string, error) {
	for range maxLinks {
		info, err := os.Lstat(path)
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			return path, nil // the caller finds out what is wrong there
		}
		target, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(target) {
			target = filepath.Dir(path) + "/" + target // .. is for the kernel to resolve: the folder may be a link
		}
		path = target
	}
	return "", unix.ELOOP
}

// removePIDFile removes the file if it is still this master's.
func removePIDFile(path string) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return
	}
	content, err := os.ReadFile(path)
	if err != nil || string(content) != strconv.Itoa(os.Getpid())+"\n" {
		return
	}
	if target, err := destination(path); err == nil {
		_ = os.Remove(target) // someone else was faster
	}
}
