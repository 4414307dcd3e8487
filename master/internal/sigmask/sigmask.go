// Package sigmask changes which signals a thread has blocked (pthread_sigmask(3)).
// What a thread blocks it hands down: to those that it clones, to a child that it
// forks, and to the program that it becomes by execve(2). The master uses it for all of
// these, and where it writes to a terminal.
package sigmask

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Block adds signals to those that are blocked in the thread of the calling
// goroutine, to which it is locked (runtime.LockOSThread) until it calls undo, as it
// has to, unless there is an error.
func Block(signals ...unix.Signal) (undo func(), err error) { return change(unix.SIG_BLOCK, signals) }

// BlockOnly is Block with all other signals unblocked.
func BlockOnly(signals ...unix.Signal) (undo func(), err error) {
	return change(unix.SIG_SETMASK, signals)
}

func change(how int, signals []unix.Signal) (undo func(), err error) {
	runtime.LockOSThread()
	var old, set unix.Sigset_t
	for _, sig := range signals {
		set.Val[(sig-1)/64] |= 1 << ((sig - 1) % 64)
	}
	if err := unix.PthreadSigmask(how, &set, &old); err != nil {
		runtime.UnlockOSThread()
		return nil, os.NewSyscallError("rt_sigprocmask", err)
	}
	return func() {
		_ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil) // as before
		runtime.UnlockOSThread()
	}, nil
}
