package master

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// writePIDFile puts the master's pid into a file, whole or not at all. An old
// file is replaced.
func writePIDFile(path string) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("pid file %s: %w", path, err)
	}
	_, err = temporary.WriteString(strconv.Itoa(os.Getpid()) + "\n")
	if err == nil {
		err = temporary.Chmod(0o644)
	}
	if closed := temporary.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temporary.Name()) // the first error is the one to report
		return fmt.Errorf("pid file %s: %w", path, err)
	}
	return nil
}

// removePIDFile removes the file if it is still this master's.
func removePIDFile(path string) {
	content, err := os.ReadFile(path)
	if err == nil && string(content) == strconv.Itoa(os.Getpid())+"\n" {
		_ = os.Remove(path) // someone else was faster
	}
}
