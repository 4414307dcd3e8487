package fdpass_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

const (
	sharedSeals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	sealedSeals = sharedSeals | unix.F_SEAL_WRITE
)

// owned closes fd with the test.
func owned(t *testing.T, fd int, err error) int {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fdpass.CloseAll([]int{fd}) })
	return fd
}

// memfd returns one of so many bytes with these seals, closed with the test.
func memfd(t *testing.T, size int64, seals int) int {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	owned(t, fd, err)
	if err := unix.Ftruncate(fd, size); err != nil { // a hole: it takes no memory
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		t.Fatal(err)
	}
	return fd
}

// What is sealed is read as it was, by whoever it is passed to, however often.
func TestSeal(t *testing.T) {
	a, b := pair(t)
	for _, size := range []int{0, 1, 5 << 20} {
		want := bytes.Repeat([]byte("0123456789abcde"), size/15+1)[:size]
		fd, err := fdpass.Seal("test", want)
		owned(t, fd, err)
		send(t, a, "x", []int{fd})
		var r fdpass.Receiver
		fds := make([]int, 1)
		if _, _, err := r.Receive(b, make([]byte, 1), fds, exactly(1)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got, err := fdpass.ReadSealed(fds[0], int64(size)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes became %d, %v", size, len(got), err)
			}
		}
		fdpass.CloseAll(fds)
	}
}

// Nobody can change it, not even who has made it; and no child gets it by accident.
func TestSealedStays(t *testing.T) {
	leaktest.Descriptors(t)
	for name, make := range map[string]func() (int, error){
		"sealed": func() (int, error) { return fdpass.Seal("test", []byte("what it is")) },
		"shared": func() (int, error) { return fdpass.Share("test", 10) },
	} {
		fd, err := make()
		owned(t, fd, err)
		_, written := unix.Pwrite(fd, []byte("another"), 0)
		if want := name == "sealed"; errors.Is(written, unix.EPERM) != want {
			t.Errorf("%s: write: %v", name, written)
		}
		_, more := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE)
		for what, err := range map[string]error{"shorter": unix.Ftruncate(fd, 1), "longer": unix.Ftruncate(fd, 11), "another seal": more} {
			if !errors.Is(err, unix.EPERM) {
				t.Errorf("%s: %s: %v, want EPERM", name, what, err)
			}
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s: flags %#x, %v: not close-on-exec", name, flags, err)
		}
	}
}

func TestShare(t *testing.T) {
	leaktest.Descriptors(t)
	fd, err := fdpass.Share("test", 4096)
	owned(t, fd, err)
	if size, err := fdpass.SharedSize(fd); size != 4096 || err != nil {
		t.Errorf("%d bytes, %v", size, err)
	}
	if fd, err := fdpass.Share("test", -1); fd != -1 || !errors.Is(err, unix.EINVAL) {
		t.Errorf("of a negative size: descriptor %d, %v", fd, err)
	}
}

// A sender may pass any descriptor. Nothing is read from it that could change,
// block or be larger than it may.
func TestMemoryThatIsNone(t *testing.T) {
	leaktest.Descriptors(t)
	pipe := make([]int, 2)
	if err := unix.Pipe2(pipe, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fdpass.CloseAll(pipe) })
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	owned(t, file, err)
	const limit = 100
	isMemory, anything := true, errors.New("any error")
	tests := []struct {
		name           string
		fd             int
		memory         bool
		sealed, shared error
	}{
		{"as Seal makes it", memfd(t, limit, sealedSeals), isMemory, nil, nil},
		{"as Share makes it", memfd(t, limit, sharedSeals), isMemory, fdpass.ErrUnsealed, nil},
		{"longer than the limit", memfd(t, limit+1, sealedSeals), isMemory, fdpass.ErrTooLong, nil},
		{"as long as can be", memfd(t, 1<<62, sealedSeals), isMemory, fdpass.ErrTooLong, nil},
		{"no seals", memfd(t, 10, 0), isMemory, fdpass.ErrUnsealed, fdpass.ErrUnsealed},
		{"it could shrink", memfd(t, 10, sealedSeals&^unix.F_SEAL_SHRINK), isMemory, fdpass.ErrUnsealed, fdpass.ErrUnsealed},
		{"it could grow", memfd(t, 10, sealedSeals&^unix.F_SEAL_GROW), isMemory, fdpass.ErrUnsealed, fdpass.ErrUnsealed},
		{"seals can be added", memfd(t, 10, sealedSeals&^unix.F_SEAL_SEAL), isMemory, fdpass.ErrUnsealed, fdpass.ErrUnsealed},
		{"a pipe", pipe[0], false, fdpass.ErrNotMemfd, fdpass.ErrNotMemfd},
		{"a device", null(t, 1)[0], false, fdpass.ErrNotMemfd, fdpass.ErrNotMemfd},
		{"not open", -1, false, unix.EBADF, unix.EBADF},
		{"a file", file, fdpass.IsMemory(file), anything, anything}, // in a tmpfs it is memory
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := fdpass.IsMemory(test.fd); got != test.memory {
				t.Errorf("memory: %v, want %v", got, test.memory)
			}
			_, sealed := fdpass.ReadSealed(test.fd, limit)
			if !errors.Is(sealed, test.sealed) && (test.sealed != anything || sealed == nil) {
				t.Errorf("read as sealed: %v, want %v", sealed, test.sealed)
			}
			_, shared := fdpass.SharedSize(test.fd)
			if !errors.Is(shared, test.shared) && (test.shared != anything || shared == nil) {
				t.Errorf("taken as shared: %v, want %v", shared, test.shared)
			}
		})
	}
}

// What cannot be sealed leaves nothing behind; a limit on the size of files is
// an error and not the end of the process.
func TestSealFails(t *testing.T) {
	if !inChild(t, nil) {
		return
	}
	leaktest.Descriptors(t)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1000, Max: 1000}); err != nil {
		t.Fatal(err)
	}
	fd, err := fdpass.Seal("test", make([]byte, 1000))
	owned(t, fd, err)
	var syscallError *os.SyscallError
	if fd, err := fdpass.Seal("test", make([]byte, 1001)); fd != -1 || !errors.Is(err, unix.EFBIG) || !errors.As(err, &syscallError) {
		t.Errorf("beyond the limit: descriptor %d, %v; want EFBIG", fd, err)
	}
}
