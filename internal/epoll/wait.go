package epoll

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// waiter decides how a wait enters the kernel. A raw system call costs what it
// costs in C, but the thread keeps its P (the scheduler's right to run Go
// code) while it sleeps; one through syscall.Syscall6 gives the P up and takes
// it back, which costs as much again as the whole wait. So:
//
//   - Wait raw. A P that is held for 10 ms makes the runtime's monitor signal
//     the thread (sysmon and retake in runtime/proc.go), and epoll_pwait
//     returns EINTR, always (signal(7)).
//   - On EINTR the loop slept, or the process is busy elsewhere. Wait once
//     through the scheduler, which may sleep for ever at no cost; and if fewer
//     than coolBelow waits returned since the last EINTR the loop is not busy,
//     so let the next coolWaits go through the scheduler as well: then the
//     other goroutines of a quiet process are not held up.
//
// At rest this is one blocked thread, no signals and no P held. Its price is
// that for up to 10 ms one P is held in vain, so GOMAXPROCS must be larger than
// the number of loops. It needs asynchronous preemption: with
// GODEBUG=asyncpreemptoff=1 no signal comes, and a stop of the world could wait
// for ever.
type waiter struct {
	yield    bool // always through the scheduler
	cool     int  // waits left that go through the scheduler
	returned int  // raw waits that returned since the last EINTR
}

const (
	coolBelow = 64
	coolWaits = 64
)

func (w *waiter) wait(set int, events []Event, millis int) (int, syscall.Errno) {
	if millis == 0 {
		return retry(set, events, millis)
	}
	if w.yield {
		return scheduled(set, events, millis)
	}
	if w.cool > 0 {
		w.cool--
		return scheduled(set, events, millis)
	}
	n, errno := raw(set, events, millis)
	if errno != unix.EINTR {
		w.returned++
		return n, errno
	}
	if w.returned < coolBelow {
		w.cool = coolWaits
	}
	w.returned = 0
	if millis > 0 {
		return 0, 0 // the caller knows how much of its timeout is left
	}
	return scheduled(set, events, millis)
}

func retry(set int, events []Event, millis int) (int, syscall.Errno) {
	for {
		n, errno := raw(set, events, millis)
		if errno != unix.EINTR {
			return n, errno
		}
	}
}

func raw(set int, events []Event, millis int) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(set),
		uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(millis), 0, 0)
	return int(n), errno
}

// scheduled waits through the scheduler. An interrupted wait without limit
// goes on; one with a limit ends early.
func scheduled(set int, events []Event, millis int) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(set),
			uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(millis), 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
		if millis > 0 {
			return 0, 0
		}
	}
}

func epollCtl(set, op, fd int, event *unix.EpollEvent) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(set), uintptr(op), uintptr(fd),
		uintptr(unsafe.Pointer(event)), 0, 0)
	return errno
}
