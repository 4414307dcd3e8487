package listen

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

// testSocket is what the sockets of these tests are for.
var testSocket = Purpose{"master", "give this one another path with --control"}

// shortDir is t.TempDir with a path that leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "m")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // of the temporary folder
	return dir
}

// leftOver makes the socket of a process that is dead.
func leftOver(t *testing.T, path string) {
	t.Helper()
	fd, _, err := Unix(path, 0o600, testSocket)
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(fd) // the file stays
}

// Of those that find one dead socket, one gets its path, and the others are told
// who has it.
func TestOneGetsADeadSocket(t *testing.T) {
	leaktest.Descriptors(t)
	dir := shortDir(t)
	for range 50 {
		path := filepath.Join(dir, "s")
		leftOver(t, path)
		var all sync.WaitGroup
		var mu sync.Mutex
		var won []int
		start := make(chan struct{})
		for range 4 {
			all.Go(func() {
				<-start
				fd, _, err := Unix(path, 0o600, testSocket)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					won = append(won, fd)
				case !strings.Contains(err.Error(), "this server has a socket there itself"):
					t.Error(err)
				}
			})
		}
		close(start)
		all.Wait()
		if len(won) != 1 {
			t.Fatalf("%d got the path, want 1", len(won))
		}
		_ = unix.Close(won[0])
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// A socket's file has the mode that was asked for, whatever the umask, and files
// that are made meanwhile have theirs.
func TestSocketModeLeavesTheUmaskAlone(t *testing.T) {
	leaktest.Descriptors(t)
	dir := shortDir(t)
	old := unix.Umask(0o027)
	defer unix.Umask(old)
	stop, files := make(chan struct{}), make(chan error)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				files <- nil
				return
			default:
			}
			path := filepath.Join(dir, "file")
			file, err := os.Create(path)
			if err != nil {
				files <- err
				return
			}
			info, err := file.Stat()
			if err == nil && info.Mode().Perm() != 0o640 {
				err = errors.New("a file of mode " + info.Mode().String())
			}
			if err := errors.Join(err, file.Close(), os.Remove(path)); err != nil {
				files <- err
				return
			}
		}
	}()
	for range 300 {
		for _, mode := range []fs.FileMode{0o600, 0o666, 0o711, 0} {
			path := filepath.Join(dir, "s")
			fd, file, err := Unix(path, mode, unixListener)
			if err != nil {
				t.Fatal(err)
			}
			want := mode
			if mode == 0 {
				want = 0o750
			}
			if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != want {
				t.Fatalf("%v, %v; want mode %v", info, err, want)
			}
			file.Remove()
			_ = unix.Close(fd)
		}
	}
	close(stop)
	if err := <-files; err != nil {
		t.Error(err)
	}
}

func TestSocketPathsThatCannotBe(t *testing.T) {
	leaktest.Descriptors(t)
	dir := shortDir(t)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, strings.Repeat("x", 120)): "too long for a Unix socket: ",
		filepath.Join(dir, "none", "s"):              "there is no folder " + filepath.Join(dir, "none") + "; create it",
		filepath.Join(file, "s"):                     "is not a folder",
		file:                                         "a file that is not a socket",
		"/sys/s":                                     "may this user write to the folder?",
	} {
		fd, _, err := Unix(path, 0o600, testSocket)
		if err == nil {
			_ = unix.Close(fd)
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--control") {
			t.Errorf("%s: %v, want it to say %q and --control", path, err, want)
		}
	}
}

// What took the place of a file is neither changed nor removed.
func TestSocketFileOfAnother(t *testing.T) {
	leaktest.Descriptors(t)
	path := filepath.Join(shortDir(t), "s")
	fd, file, err := Unix(path, 0o600, unixListener)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	restored := RestoreSocketFile(path, file.ID())
	if !restored.There() {
		t.Error("it is not there")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if restored.There() {
		t.Error("it is there still")
	}
	if err := os.WriteFile(path, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := restored.setMode(0o666); err == nil {
		t.Error("the mode of another's file was changed")
	}
	restored.Remove()
	if info, err := os.Lstat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("%v, %v; want the other file as it was", info, err)
	}
}
