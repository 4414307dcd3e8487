package descriptor

import (
	"syscall"
	"testing"

	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

// A reserve holds as many as it is to, or as many as there are; and gives all of them up.
func TestReserve(t *testing.T) {
	leaktest.Descriptors(t)
	before := leaktest.Count(t)
	r := Reserve{Size: 5}
	if !r.Fill() || leaktest.Count(t) != before+5 {
		t.Errorf("it holds %d, want 5", leaktest.Count(t)-before)
	}
	if r.Release(); leaktest.Count(t) != before {
		t.Errorf("after its release %d are left", leaktest.Count(t)-before)
	}
	highest, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0) // numbers below it may be free
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(highest)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	low := limit
	low.Cur = uint64(highest) + 3
	if err := syscall.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	r.Size = highest + 10
	filled := r.Fill()
	r.Release()
	if err := syscall.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if filled {
		t.Errorf("it took %d where there were fewer", r.Size)
	}
	if !r.Fill() {
		t.Error("with the limit raised again it is not full")
	}
	r.Release()
}
