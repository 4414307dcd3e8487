package fdpass_test

import (
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"testing"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

// pair returns a pair that is closed, and checked for leaks, when the test ends.
func pair(t testing.TB) (a, b int) {
	t.Helper()
	leaktest.Descriptors(t)
	a, b, err := fdpass.Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fdpass.CloseAll([]int{a, b}) })
	return a, b
}

// null returns an open descriptor count times over: the kernel makes as many
// descriptors of it at the other end.
func null(t testing.TB, count int) []int {
	t.Helper()
	fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fdpass.CloseAll([]int{fd}) })
	fds := make([]int, count)
	for i := range fds {
		fds[i] = fd
	}
	return fds
}

func send(t testing.TB, sock int, payload string, fds []int) {
	t.Helper()
	var s fdpass.Sender
	if err := s.Send(sock, []byte(payload), fds); err != nil {
		t.Fatal(err)
	}
}

// exactly is an expectation of n descriptors.
func exactly(n int) func([]byte) (int, error) {
	return func([]byte) (int, error) { return n, nil }
}

const childVariable = "FDPASS_TEST_CHILD"

// inChild reports whether this is the process in which the calling test may
// spoil limits and signals. Otherwise it runs the test again in such a process,
// with the given attributes if not nil, and passes its verdict on.
func inChild(t *testing.T, attributes *syscall.SysProcAttr) bool {
	t.Helper()
	if os.Getenv(childVariable) == t.Name() {
		return true
	}
	// Not os.Executable: another user may not be let into its folder.
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+regexp.QuoteMeta(t.Name())+"$", "-test.v")
	cmd.Env = append(os.Environ(), childVariable+"="+t.Name())
	cmd.SysProcAttr = attributes
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("in a child: %v\n%s", err, output)
	} else {
		t.Logf("in a child:\n%s", output)
	}
	return false
}

// limitFDs leaves this process room for so many descriptors more, and no hole
// below. What it opens stays open.
func limitFDs(t *testing.T, room int) {
	t.Helper()
	leaktest.StartPoller(t)
	setLimit(t, 128)
	last := -1
	for {
		fd, err := unix.Dup(0)
		if err == unix.EMFILE {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		last = fd
	}
	for range room {
		if err := unix.Close(last); err != nil {
			t.Fatal(err)
		}
		last--
	}
}

func setLimit(t *testing.T, soft uint64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = min(soft, limit.Max)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
}
