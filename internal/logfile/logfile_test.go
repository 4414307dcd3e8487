package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

// What is at a path already is appended to, and what is not is made.
func TestOpenAppends(t *testing.T) {
	leaktest.Descriptors(t)
	path := filepath.Join(t.TempDir(), "log")
	for _, line := range []string{"one\n", "two\n"} {
		file, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString(line); err != nil {
			t.Error(err)
		}
		_ = file.Close()
	}
	text, err := os.ReadFile(path)
	if err != nil || string(text) != "one\ntwo\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// A FIFO needs no reader, and what is written waits for one.
func TestOpenFIFO(t *testing.T) {
	leaktest.Descriptors(t)
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString("line\n"); err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	got := make([]byte, 10)
	if n, err := reader.Read(got); err != nil || string(got[:n]) != "line\n" {
		t.Errorf("%q, %v", got[:n], err)
	}
}

// What this process has open is taken as it is, by whatever name.
func TestOpenDescriptor(t *testing.T) {
	leaktest.Descriptors(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	raw, err := w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	err = raw.Control(func(fd uintptr) {
		name := fmt.Sprintf("/dev/fd/%d", fd)
		if err := os.Symlink(name, link); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{name, fmt.Sprintf("/proc/self/fd/%d", fd), link} {
			file, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = file.WriteString("x")
			_ = file.Close()
			got := make([]byte, 2)
			if n, readErr := r.Read(got); err != nil || readErr != nil || n != 1 {
				t.Errorf("%s: %v, then %d bytes, %v", path, err, n, readErr)
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestOpenFails(t *testing.T) {
	leaktest.Descriptors(t)
	folder := t.TempDir()
	for path, want := range map[string]error{
		folder:                            unix.EISDIR,
		filepath.Join(folder, "no", "it"): fs.ErrNotExist,
		"/dev/fd/1000000":                 unix.EBADF,
	} {
		if file, err := Open(path); !errors.Is(err, want) {
			t.Errorf("%s: %v, %v; want %v", path, file, err, want)
		}
	}
}
