package master

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

// A pid file is written whole; what is at its path for another reason stays what
// it is.
func TestPIDFile(t *testing.T) {
	leaktest.Descriptors(t)
	mine := strconv.Itoa(os.Getpid()) + "\n"
	content := func(t *testing.T, path string) string {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for name, test := range map[string]struct {
		make   func(path string) error
		stays  fs.FileMode // of what is at the path: its type
		target string      // beside it, where the pid is
	}{
		"nothing": {make: func(string) error { return nil }},
		"a file":  {make: func(path string) error { return os.WriteFile(path, []byte("1\n"), 0o600) }},
		"a symlink": {make: func(path string) error {
			return errors.Join(os.WriteFile(filepath.Dir(path)+"/there", []byte("1\n"), 0o600), os.Symlink("there", path))
		}, stays: fs.ModeSymlink, target: "there"},
		"a symlink to a symlink to nothing": {make: func(path string) error {
			return errors.Join(os.Mkdir(filepath.Dir(path)+"/d", 0o700), os.Symlink("d/next", path), os.Symlink("../there", filepath.Dir(path)+"/d/next"))
		}, stays: fs.ModeSymlink, target: "there"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "pid")
			if err := test.make(path); err != nil {
				t.Fatal(err)
			}
			if err := writePIDFile(path); err != nil {
				t.Fatal(err)
			}
			if got := content(t, path); got != mine {
				t.Errorf("it has %q, want %q", got, mine)
			}
			info, err := os.Lstat(path)
			if err != nil || info.Mode().Type() != test.stays {
				t.Errorf("%v, %v; want it to be a %v", info, err, test.stays)
			}
			if test.target != "" && content(t, filepath.Join(filepath.Dir(path), test.target)) != mine {
				t.Error("the symlink's target does not have it")
			}
			removePIDFile(path)
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it is left: %v", err)
			}
			if _, err := os.Lstat(path); test.stays != 0 && err != nil {
				t.Errorf("the symlink is gone: %v", err)
			}
		})
	}
}

// A device is written to, a FIFO too if somebody reads; neither is replaced or
// removed.
func TestPIDFileIsNoFile(t *testing.T) {
	leaktest.Descriptors(t)
	path := filepath.Join(t.TempDir(), "pid")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writePIDFile(path); err == nil || !strings.Contains(err.Error(), "nobody reads there") {
		t.Errorf("%v, want it to say that nobody reads", err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := writePIDFile(path); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 32)
	n, err := reader.Read(got)
	if want := strconv.Itoa(os.Getpid()) + "\n"; string(got[:n]) != want || err != nil {
		t.Errorf("the reader has %q, %v; want %q", got[:n], err, want)
	}
	removePIDFile(path)
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != fs.ModeNamedPipe {
		t.Errorf("%v, %v; want a FIFO", info, err)
	}
	if err := writePIDFile(filepath.Dir(path)); !errors.Is(err, unix.EISDIR) {
		t.Errorf("a folder: %v, want that it is one", err)
	}
	null, err := os.Lstat(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "null") // the device itself is everybody's
	if err := os.Symlink(os.DevNull, link); err != nil {
		t.Fatal(err)
	}
	err = writePIDFile(link)
	removePIDFile(link)
	if after, lost := os.Lstat(os.DevNull); err != nil || lost != nil || !os.SameFile(null, after) {
		t.Errorf("%v, %v; want %s as it was", err, lost, os.DevNull)
	}
}
