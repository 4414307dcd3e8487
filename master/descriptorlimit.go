package master

import (
	"fmt"
	"os"
	"syscall"

	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/descriptor"
	"github.com/usher-go/usher/master/internal/dispatch"
	"golang.org/x/sys/unix"
)

// raiseDescriptorLimit raises the soft limit to the hard one, and returns it.
// Go's runtime does so too, but would give children the old soft limit back
// unless the program sets it itself.
func raiseDescriptorLimit() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, os.NewSyscallError("getrlimit", err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("raise the descriptor limit: %w", os.NewSyscallError("setrlimit", err))
	}
	return int(min(limit.Cur, 1<<30)), nil
}

// roomForDescriptors is how many descriptors the kernel's table has room for from the
// start. A master holds those of a few packets, and some for each worker.
const roomForDescriptors = 4096

// workerReserve is how many descriptors a worker that states no capacity is assumed to
// need for itself.
const workerReserve = 64

// What a master holds open: see enoughDescriptors.
const (
	descriptorsAtLeast   = 13 // standard ones, epoll sets and their wakers, timers, control, its own program
	descriptorsAcceptor  = 2  // of each further accept goroutine
	descriptorsPerWorker = 5  // both ends of the queue, control, standard error, scoreboard
	descriptorsOfTLS     = 3  // the credentials of both generations, and ticket keys for a moment
	descriptorsToStart   = 14 // for a moment, to start workers and to answer commands
)

// enoughDescriptors refuses a limit with which the server would start and then fail
// to reload: both generations have workers then.
func enoughDescriptors(c *Config, listeners, limit int) error {
	need, secrets := limit, 0
	if len(c.TLSCerts) > 0 {
		secrets = descriptorsOfTLS
	}
	for before := 0; before < need; { // a larger limit has a larger batch
		before = need
		need = max(need, descriptorsAtLeast+descriptorsAcceptor*(c.Acceptors-1)+listeners*c.Acceptors+
			dispatch.MostAtOnce(need)+2*descriptorsPerWorker*c.Workers+secrets+descriptorsToStart)
	}
	if need == limit {
		return nil
	}
	return fmt.Errorf("%d workers and those of a reload beside them need %d descriptors, the limit is %d; raise it: %s",
		c.Workers, need, limit, child.HowToRaise)
}

// anyLeft reports whether so many descriptors can be opened now, as EMFILE if not: a
// program that takes over needs some before it can give others up, and so does the
// one that it would go back to.
func anyLeft(n int) error {
	room := descriptor.Reserve{Size: n}
	defer room.Release()
	if !room.Fill() {
		return fmt.Errorf("%w: %d descriptors are needed; raise the limit: %s", unix.EMFILE, n, child.HowToRaise)
	}
	return nil
}
