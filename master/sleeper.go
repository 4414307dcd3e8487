package master

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// sleeper is a timer for a process that sleeps until it rings. It belongs to one
// goroutine; the zero value never rings.
type sleeper struct {
	over <-chan struct{}     // it rings here; perhaps late, for a time that was set before
	set  func(time.Duration) // has it ring once, so much later, instead of when it was set to before
}

// newSleeper returns a sleeper of the kernel's (timerfd_create(2)), and what ends it.
//
// A timer of Go's would do, but for what it costs to sleep long with one: the
// runtime's monitor wakes when the timer is due, while the wait in epoll_pwait
// that is to run it ends later, by a thousandth of its length (the kernel's slack
// for such waits), and until then the monitor looks again each 20 µs: some 50
// wake-ups for a timer of 7 s. A descriptor that becomes readable has neither.
func newSleeper() (sleeper, func(), error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return sleeper{}, nil, os.NewSyscallError("timerfd_create", err)
	}
	file := os.NewFile(uintptr(fd), "timerfd") // owns it; a Read waits in Go's poller
	over, ended := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(ended)
		var expirations [8]byte
		for {
			if _, err := file.Read(expirations[:]); err != nil {
				return // it is closed
			}
			select {
			case over <- struct{}{}:
			default: // not heard yet
			}
		}
	}()
	set := func(d time.Duration) {
		// It is ours and open, and the time is valid: this cannot fail.
		_ = unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(max(1, int64(d)))}, nil)
	}
	end := func() {
		_ = file.Close() // nothing is left to be said
		<-ended
	}
	return sleeper{over, set}, end, nil
}
