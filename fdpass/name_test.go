package fdpass_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

// listen returns a Listener that is closed when the test ends.
func listen(t testing.TB, name string) *fdpass.Listener {
	t.Helper()
	l, err := fdpass.Listen(soon(t), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // the test may have closed it
	return l
}

func TestNames(t *testing.T) {
	leaktest.Descriptors(t)
	dir := folder(t)
	fits := dir + "/" + strings.Repeat("x", 107-len(dir)-1)
	tests := []struct {
		name   string
		socket string
		want   error
	}{
		{"path", dir + "/x", nil},
		{"path of 107 bytes", fits, nil},
		{"path of 108 bytes", fits + "x", unix.ENAMETOOLONG},
		{"abstract", abstractName(t), nil},
		{"abstract of 107 bytes", "@" + strings.Repeat("x", 106), nil},
		{"abstract of 108 bytes", "@" + strings.Repeat("x", 107), unix.ENAMETOOLONG},
		{"empty", "", unix.EINVAL},
		{"abstract and empty", "@", unix.EINVAL},
		{"zero byte", dir + "/x\x00y", unix.EINVAL},
		{"zero byte first", "\x00x", unix.EINVAL},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l, err := fdpass.Listen(soon(t), test.socket)
			if !errors.Is(err, test.want) {
				t.Errorf("listen: %v, want %v", err, test.want)
			}
			c, err := fdpass.Dial(soon(t), test.socket)
			if !errors.Is(err, test.want) {
				t.Errorf("dial: %v, want %v", err, test.want)
			}
			if test.want == nil {
				_, _ = c.Close(), l.Close() // it was there, and goes
			}
		})
	}
	if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// The file has its mode from the moment it is there, whatever the umask.
func TestModeFromTheStart(t *testing.T) {
	leaktest.Descriptors(t)
	dir := folder(t)
	watch, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer fdpass.CloseAll([]int{watch})
	if _, err := unix.InotifyAddWatch(watch, dir, unix.IN_CREATE|unix.IN_ATTRIB|unix.IN_MOVED_TO); err != nil {
		t.Fatal(err)
	}
	old := unix.Umask(0)
	l := listen(t, dir+"/x")
	unix.Umask(old)
	info, err := os.Lstat(dir + "/x")
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	events := make([]byte, 4096)
	n, err := unix.Read(watch, events)
	if want := unix.SizeofInotifyEvent + 16; n != want || err != nil { // one event, with the name x
		t.Errorf("%d bytes of events, %v; want %d, of the creation alone", n, err, want)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestDeadSocketIsReplaced(t *testing.T) {
	leaktest.Descriptors(t)
	path := folder(t) + "/x"
	for range 2 { // a dead one in place of none, then in place of a dead one
		cmd, _ := start(t, "listen and die", path)
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		if _, err := fdpass.Dial(soon(t), path); !errors.Is(err, unix.ECONNREFUSED) {
			t.Fatalf("dial a dead socket: %v", err)
		}
	}
	l := listen(t, path)
	c, err := fdpass.Dial(soon(t), path)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close() // it got through
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, unix.ENOENT) {
		t.Errorf("after Close: %v", err)
	}
}

func TestWhatIsThereIsLeftAlone(t *testing.T) {
	socket := func(t *testing.T, path string, kind int, listening bool) {
		fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { fdpass.CloseAll([]int{fd}) })
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
			t.Fatal(err)
		}
		if listening {
			if err := unix.Listen(fd, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name string
		put  func(t *testing.T, path string) error
		want error
	}{
		{"a listener of ours", func(t *testing.T, path string) error { listen(t, path); return nil }, unix.EADDRINUSE},
		{"a stream listener", func(t *testing.T, path string) error {
			socket(t, path, unix.SOCK_STREAM, true)
			return nil
		}, unix.EADDRINUSE},
		{"a datagram socket", func(t *testing.T, path string) error {
			socket(t, path, unix.SOCK_DGRAM, false)
			return nil
		}, unix.EADDRINUSE},
		{"bound, about to listen", func(t *testing.T, path string) error {
			socket(t, path, unix.SOCK_SEQPACKET, false)
			return nil
		}, unix.EADDRINUSE},
		{"a regular file", func(t *testing.T, path string) error { return os.WriteFile(path, []byte("mine"), 0o600) }, unix.ENOTSOCK},
		{"a folder", func(t *testing.T, path string) error { return os.Mkdir(path, 0o700) }, unix.ENOTSOCK},
		{"a fifo", func(t *testing.T, path string) error { return unix.Mkfifo(path, 0o600) }, unix.ENOTSOCK},
		{"a dangling link", func(t *testing.T, path string) error { return os.Symlink("nowhere", path) }, unix.ENOTSOCK},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			leaktest.Descriptors(t)
			path := folder(t) + "/x"
			if err := test.put(t, path); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			l, err := fdpass.Listen(soon(t), path)
			if !errors.Is(err, test.want) || l != nil {
				t.Errorf("got %v, want %v", err, test.want)
			}
			t.Log(err)
			after, err := os.Lstat(path)
			if err != nil || !os.SameFile(before, after) || before.Mode() != after.Mode() || before.Size() != after.Size() {
				t.Errorf("it is %v now, %v", after, err)
			}
		})
	}
}

// The question whether it lives must not reach a listener as a connection.
func TestProbeIsNotSeen(t *testing.T) {
	leaktest.Descriptors(t)
	path := folder(t) + "/x"
	l := listen(t, path)
	if _, err := fdpass.Listen(soon(t), path); !errors.Is(err, unix.EADDRINUSE) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := l.Accept(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("accept: %v", err)
	}
}

// Of many that find the same dead socket at once, one gets the name and keeps it.
func TestRaceForADeadSocket(t *testing.T) {
	leaktest.Descriptors(t)
	dir := folder(t)
	for range 50 {
		path := dir + "/x"
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
			t.Fatal(err)
		}
		fdpass.CloseAll([]int{fd})

		var wait sync.WaitGroup
		listeners, errs := make([]*fdpass.Listener, 4), make([]error, 4)
		for i := range listeners {
			wait.Go(func() { listeners[i], errs[i] = fdpass.Listen(soon(t), path) })
		}
		wait.Wait()
		won := 0
		for i, l := range listeners {
			switch {
			case l != nil:
				won++
			case !errors.Is(errs[i], unix.EADDRINUSE):
				t.Error(errs[i])
			}
		}
		c, err := fdpass.Dial(soon(t), path)
		if won != 1 || err != nil {
			t.Fatalf("%d have the name; dial: %v", won, err)
		}
		_ = c.Close() // it got through
		for _, l := range listeners {
			if l != nil {
				_ = l.Close() // for the next round
			}
		}
	}
}

func TestFolderIsLocked(t *testing.T) {
	leaktest.Descriptors(t)
	dir := folder(t)
	cmd, _ := start(t, "listen and die", dir+"/x")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := fdpass.Listen(ctx, dir+"/x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with the folder locked: %v", err)
	}
	_ = listen(t, dir+"/y").Close() // nothing to replace, so nothing to wait for
	lock.Close()
	_ = listen(t, dir+"/x").Close() // and now it can be replaced
}

func TestPermissionDenied(t *testing.T) {
	leaktest.Descriptors(t)
	dir := folder(t)
	l := listen(t, dir+"/x")
	for _, test := range []struct{ what, name string }{
		{"dial", dir + "/x"},           // connecting needs write permission
		{"listen and die", dir + "/x"}, // as does finding out whether it lives
		{"listen and die", dir + "/y"}, // the folder is not theirs
	} {
		cmd := program(test.what, test.name)
		cmd.SysProcAttr = asNobody(t)
		cmd.Stderr = nil
		output, err := cmd.Output()
		if err == nil || !strings.Contains(string(errorOutput(err)), "permission denied") {
			t.Errorf("%s at %s as another user: %v, %s%s", test.what, test.name, err, output, errorOutput(err))
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func errorOutput(err error) []byte {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.Stderr
	}
	return nil
}

// A file that took the place of ours is not ours to remove; nor is one that came
// after Close.
func TestCloseRemovesOnlyItsOwn(t *testing.T) {
	leaktest.Descriptors(t)
	dir := folder(t)
	first := listen(t, dir+"/x")
	if err := os.Remove(dir + "/x"); err != nil {
		t.Fatal(err)
	}
	second := listen(t, dir+"/x")
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dir + "/x"); err != nil {
		t.Errorf("the second's file: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	listen(t, dir+"/x") // likely with the same inode number
	if err := second.Close(); err == nil {
		t.Error("closed twice without a word")
	}
	if _, err := os.Lstat(dir + "/x"); err != nil {
		t.Errorf("the third's file: %v", err)
	}
}

// A relative name means the folder of that moment.
func TestRelativeName(t *testing.T) {
	leaktest.Descriptors(t)
	dir := folder(t)
	t.Chdir(dir)
	for _, name := range []string{"x", "./@x"} {
		l := listen(t, name)
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		t.Chdir("/")
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, unix.ENOENT) {
			t.Errorf("after Close: %v", err)
		}
		t.Chdir(dir)
	}
}
