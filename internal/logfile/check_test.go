package logfile

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

// What is checked fails as opening it does, and nothing is made, and no reader of a FIFO
// sees an end.
func TestCheck(t *testing.T) {
	leaktest.Descriptors(t)
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(at("file"), []byte("line\n"), 0o600))
	must(os.Mkdir(at("readonly"), 0o500))
	must(os.WriteFile(at("sealed"), nil, 0o400))
	must(unix.Mkfifo(at("fifo"), 0o600))
	must(os.Symlink("new", at("dangling")))
	must(os.Symlink("no/new", at("lost")))
	must(os.Symlink("circle", at("circle")))
	t.Chdir(folder) // a socket's path is short
	socket, err := net.Listen("unix", "socket")
	must(err)
	defer socket.Close()
	reader, err := os.OpenFile(at("fifo"), os.O_RDONLY|unix.O_NONBLOCK, 0)
	must(err)
	defer reader.Close()
	tests := []struct {
		name, path string
		want       error
		root       bool // is so for root, too
	}{
		{"a file", at("file"), nil, true},
		{"none yet", at("new"), nil, true},
		{"none yet, behind a symlink", at("dangling"), nil, true},
		{"a FIFO", at("fifo"), nil, true},
		{"a device", "/dev/null", nil, true},
		{"an open descriptor", "/dev/stderr", nil, true},
		{"no descriptor", "/dev/fd/1000000", unix.EBADF, true},
		{"a folder", folder, unix.EISDIR, true},
		{"no folder", at("no/new"), fs.ErrNotExist, true},
		{"no folder behind a symlink", at("lost"), fs.ErrNotExist, true},
		{"a file as a folder", at("file/new"), unix.ENOTDIR, true},
		{"a circle", at("circle"), unix.ELOOP, true},
		{"a socket", at("socket"), unix.ENXIO, true},
		{"a folder of others", at("readonly/new"), fs.ErrPermission, false},
		{"a file of others", at("sealed"), fs.ErrPermission, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if !test.root && os.Geteuid() == 0 {
				t.Skip("root may write it")
			}
			before := names(t, folder)
			err := Check(test.path)
			if !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if after := names(t, folder); after != before {
				t.Errorf("there are %d files, and were %d", after, before)
			}
			file, openErr := Open(test.path)
			if openErr == nil {
				_ = file.Close() // nothing was written to it
			}
			if (err == nil) != (openErr == nil) || test.want != nil && !errors.Is(openErr, test.want) {
				t.Errorf("to open it: %v", openErr)
			}
		})
	}
}

// names counts the files in a folder.
func names(t *testing.T, folder string) int {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
