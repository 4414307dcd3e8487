package batchsched

import (
	"math"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func policy(t *testing.T) uint32 {
	t.Helper()
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return attr.Policy
}

func TestThread(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if policy(t) != unix.SCHED_NORMAL {
		t.Skip("this thread is not an ordinary one")
	}
	var p Thread
	now := time.Hour // so whatever comes first comes after a long rest
	for _, step := range []struct {
		name  string
		count int // in a window
		batch bool
	}{
		{"many after a long rest", 60, false},
		{"not quite fast", 49, false},
		{"fast", 50, true},
		{"slower, but not slow", 25, true},
		{"slow", 24, false},
		{"not quite fast again", 49, false},
		{"very fast", 500, true},
		{"nothing", 0, false},
		{"nothing more", 0, false},
	} {
		now += window
		if step.count > 0 {
			p.Came(step.count, now)
		} else if p.Due() <= now {
			p.EndWindow(now)
		}
		if got := policy(t) == unix.SCHED_BATCH; got != step.batch {
			t.Errorf("%s: a batch task: %v", step.name, got)
		}
		want := time.Duration(math.MaxInt64)
		if step.batch {
			want = now + window
		}
		if p.Due() != want {
			t.Errorf("%s: due %v from now, want %v", step.name, p.Due()-now, want-now)
		}
	}
}

// What an operator chose stays: chrt(1), or CPUSchedulingPolicy= of systemd.
func TestAnotherPolicyStays(t *testing.T) {
	runtime.LockOSThread() // and not unlocked: the thread ends with this goroutine
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	attr.Policy = unix.SCHED_BATCH
	if err := unix.SchedSetAttr(0, attr, 0); err != nil {
		t.Fatal(err)
	}
	var p Thread
	for now := window; now <= 3*window; now += window {
		p.Came(1000, now)
		if p.Due() != math.MaxInt64 {
			t.Error("a window is to end, though nothing was changed")
		}
	}
	p.EndWindow(4 * window)
	if policy(t) != unix.SCHED_BATCH {
		t.Error("an operator's policy was replaced")
	}
}
