// Package worker serves the connections that a master hands to this process.
//
// It is for who writes a server's program in Go: the master is usher serve, or package
// master in a program of one's own. A worker is a program:
//
//	func main() {
//		worker.Main(worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
//			c.Write(in)         // buffered; never blocks
//			return len(in), nil // consumed; what is not comes again with more
//		}))
//	}
//
// started by
//
//	usher serve --listen :9000 -- ./echo
//
// A [DataFunc] keeps nothing of a connection, which so can move to another worker at any
// time. A [Session] is an object for each connection: [OpenFunc] makes them, and as a
// [MovableSession] they move, too. [Streams] is for code that blocks, on package net;
// package web serves an http.Handler, package framing finds lines and frames, and package
// workertest drives a handler in a test.
//
// # Whose goroutine
//
// One event loop owns every connection, on the goroutine that called [Main] or [Run] and
// on a thread of its own: each callback of a [Handler] or [Session] runs there, and there
// alone may methods of [Conn] be called, but those few that its comment names (see
// [ErrWrongGoroutine]). So a handler needs no locks and must not block: while it does, all
// other connections of this worker wait. What blocks has [Conn.Go], and other goroutines
// get at a connection by [Conn.Post]. Only package web's handlers have goroutines, and with
// their first request the loop lets go of its thread.
//
// Writing never blocks; input and output that wait are bounded, so is the time that a
// closing connection takes, and an idle connection owns no buffer.
//
// # What is certain
//
// The invariant: every connection taken from the queue reaches exactly one session, whose
// Close is the last call it gets (unless it moves to another worker, where it goes on), or
// it is closed for a logged reason; either way it is counted, after its descriptor is
// closed.
//
// A handler that panics loses its own connection, is logged with its stack, and the worker
// lives. runtime.Goexit in a callback is not allowed: it would end the loop.
//
// This package does not accept, and does not know the master: the two meet in package ipc.
package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"

	"github.com/usher-go/usher/internal/fdtable"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// ErrNoMaster is what Run returns in a process that no master started.
var ErrNoMaster = errors.New("worker: not started by a master")

// Main runs h in a worker process and does not return. The process exits with
// status 0 once it is drained or told to stop, and 1 after an error or when the
// master is gone. Run by hand, it says how it is meant to be started and exits
// with status 2.
func Main(h Handler, opts ...Option) {
	err := Run(context.Background(), h, opts...)
	switch {
	case err == nil:
		os.Exit(0)
	case errors.Is(err, ErrNoMaster):
		fmt.Fprintf(os.Stderr, "%s is a worker of usher: it serves connections that a master hands to it.\nStart it with:\n\n\tusher serve -- %s\n",
			os.Args[0], strings.Join(os.Args, " "))
		os.Exit(2)
	}
	newOptions(opts).log.Error("worker failed", "error", err)
	os.Exit(1)
}

// IsWorker reports whether a master started this process, for a program that is
// its own master too. It is for the beginning of main: Main and Run remove what
// it looks at, so that the worker's own children do not take themselves for workers.
func IsWorker() bool {
	_, ok, _ := ipc.IdentityFromEnviron(os.Environ()) // Run reports what is wrong with it
	return ok
}

// Run is Main without exiting: it returns nil once the worker is drained, or
// told to stop. When ctx is done, or SIGTERM comes, the worker tells the master
// that it wants no more and drains: connections finish by themselves, until the
// master sets a deadline. SIGHUP, SIGINT, SIGUSR1 and SIGUSR2 are swallowed:
// they are meant for the master.
//
// When the master is gone, the whole process ends at once, with status 1, even
// while a handler is stuck. When the master says stop and a handler is stuck, the
// process ends with status 0. Otherwise Run returns.
//
// It blocks, and the loop runs on the goroutine that calls it, once in a process. Errors:
// ErrNoMaster, or what is wrong with the descriptors, the protocol or the master's messages.
func Run(ctx context.Context, h Handler, opts ...Option) error {
	identity, ok, err := ipc.IdentityFromEnviron(os.Environ())
	switch {
	case err != nil:
		return fmt.Errorf("worker: %w", err)
	case !ok:
		return ErrNoMaster
	}
	disinherit()
	_ = fdtable.Grow(ipc.QueueFD, roomForDescriptors) // if it fails, connections wait while the table grows
	if identity.Protocol != ipc.Version {
		return fmt.Errorf("worker: the master speaks protocol %d, this program %d", identity.Protocol, ipc.Version)
	}
	board, err := ipc.OpenScoreboard(ipc.ScoreboardFD)
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	// It stays mapped: a handler of package web may return, and be counted, when Run has.
	if identity.Slot >= board.Len() {
		return fmt.Errorf("worker: slot %d in a scoreboard of %d", identity.Slot, board.Len())
	}
	if movable(h) && runtime.GOMAXPROCS(0) < 2 {
		runtime.GOMAXPROCS(2) // a waiting loop may hold one: see package poller
	}
	ctx, done := signal.NotifyContext(ctx, unix.SIGTERM)
	defer done()
	// Notify, not Ignore: a program started from here would inherit the latter.
	swallowed := make(chan os.Signal, 1)
	signal.Notify(swallowed, unix.SIGHUP, unix.SIGINT, unix.SIGUSR1, unix.SIGUSR2)
	defer signal.Stop(swallowed)

	var abort aborting
	defer abort.end()
	return serve(ctx, endpoint{
		queue:   ipc.QueueFD,
		control: ipc.ControlFD,
		entry:   board.Entry(identity.Slot),
		board:   board,
		metrics: &own,
		exit:    os.Exit,
		abort:   abort.printStacks,
	}, h, opts...)
}

// roomForDescriptors is how many descriptors the kernel's table of this process has room
// for from the start. It takes 128 KiB of the kernel's memory.
const roomForDescriptors = 16384

// disinherit keeps this process's own children from its descriptors, and from taking
// themselves for workers.
func disinherit() {
	for _, fd := range []int{ipc.QueueFD, ipc.ControlFD, ipc.ScoreboardFD} {
		unix.CloseOnExec(fd)
	}
	for _, name := range ipc.IdentityVariables {
		_ = os.Unsetenv(name) // it fails only for a name that is no name
	}
}

// serve is the table of contents. Two actors, in their order of starting:
//
//	member    this goroutine     owns the loop and the queue; ends when drained, on stop, or on an error
//	listener  its own goroutine  reads control; ends when the member has, which closes control
//
// The listener makes orders for the loop of the messages that it reads, and sees the
// master's end even while the loop is stuck in a handler.
//
// The package has two floors. Below is a loop with its connections (loop.go, turn.go,
// conn.go, and what they name), which needs no master. Above is a member (member.go):
// all that a worker has to do with its master. It alone speaks the protocol.
func serve(ctx context.Context, e endpoint, h Handler, opts ...Option) error {
	o := newOptions(opts)
	m, err := newMember(e, h, o)
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	defer m.close()

	hello, memory, err := m.control.hello()
	if err != nil {
		return fmt.Errorf("worker: wait for hello: %w", err)
	}
	if err := m.loop.transports.learn(hello, memory, o.protos); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	further, err := e.further(hello.Further)
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	m.loop.meter.tell(further)
	format, _ := accessFormatOf(hello.AccessLog) // access-log says of one that is not known
	o.accessLog.announce(format, o.log)
	defer o.accessLog.end(lastAccessWrites) // when all connections are closed
	if err := m.loop.hookStart(); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	defer m.loop.hookStop()
	if err := m.begin(hello, o.memory); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	defer m.end()
	if m.capacity, err = measure(hello.MaxConns, o.reservedFDs); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	if e.metrics != nil {
		for _, told := range e.metrics.tell() {
			m.control.send(told)
		}
	}
	m.control.send(m.ready(o.protos))
	m.loop.hookReady()

	m.control.listen(m.hear, func() { // not logged: the master reads the log, and is gone
		o.accessLog.end(hastyAccessWrites)
		e.exit(1)
	})
	defer context.AfterFunc(ctx, m.terminate)()
	if err := m.run(); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	return nil
}
