package child

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what a process has used, by /proc (proc(5)). By the time that it is read the
// process may have ended, and its number be another's: so it is a guess.
type Usage struct {
	CPU time.Duration // of all its threads, in user space and in the kernel
	RSS int64         // resident memory, in bytes
	Age time.Duration // since it was started, however long the machine slept meanwhile
}

// UsageOf reads a process's usage. It reads a file, and so is not for the supervisor's
// goroutine. CPU and Age are as exact as the kernel's clock ticks, of 10 ms.
func UsageOf(pid int) (Usage, error) {
	name := "/proc/" + strconv.Itoa(pid) + "/stat"
	stat, err := os.ReadFile(name)
	if err != nil {
		return Usage{}, err
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return Usage{}, os.NewSyscallError("clock_gettime", err)
	}
	u, err := parseUsage(stat, time.Duration(now.Nano()))
	if err != nil {
		return Usage{}, fmt.Errorf("%s: %w", name, err)
	}
	return u, nil
}

// tick is the unit of times in /proc: USER_HZ is 100 on every architecture that Go has.
const tick = 10 * time.Millisecond

// The fields of /proc/PID/stat behind the name, which is the second, by their numbers in
// proc(5).
const (
	fieldState     = 3
	fieldUser      = 14
	fieldSystem    = 15
	fieldStarted   = 22
	fieldRSS       = 24
	fieldsOfUsage  = fieldRSS - fieldState + 1
	longestCounter = 1 << 53 // ticks or pages that no process has
)

var errNoUsage = errors.New("malformed")

// parseUsage reads what /proc/PID/stat says, at a time since the machine was started.
func parseUsage(stat []byte, now time.Duration) (Usage, error) {
	// The name, in parentheses, may hold any byte.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < fieldsOfUsage {
		return Usage{}, errNoUsage
	}
	var numbers [fieldRSS + 1]int64
	for _, number := range []int{fieldUser, fieldSystem, fieldStarted, fieldRSS} {
		n, err := strconv.ParseInt(string(fields[number-fieldState]), 10, 64)
		if err != nil || n < 0 || n > longestCounter/int64(tick) {
			return Usage{}, errNoUsage
		}
		numbers[number] = n
	}
	return Usage{
		CPU: time.Duration(numbers[fieldUser]+numbers[fieldSystem]) * tick,
		RSS: numbers[fieldRSS] * int64(os.Getpagesize()),
		Age: max(0, now-time.Duration(numbers[fieldStarted])*tick),
	}, nil
}
