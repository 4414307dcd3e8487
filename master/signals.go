package master

import (
	"os"
	"os/signal"

	"github.com/usher-go/usher/internal/earlysignals"
	"github.com/usher-go/usher/master/internal/sigmask"
	"golang.org/x/sys/unix"
)

// signalTable is what each signal to the master does. Signals that are not in
// it keep their default action; the kernel merges those of one kind that come
// faster than they are handled (signal(7)).
var signalTable = []struct {
	signal os.Signal
	when   signalKind
	doc    string
	do     func(*supervisor)
}{
	{unix.SIGUSR1, signalAsks, "one more worker", func(s *supervisor) { s.scaleOne(+1) }},
	{unix.SIGTTIN, signalAsks, "one more worker", func(s *supervisor) { s.scaleOne(+1) }},
	{unix.SIGTTOU, signalAsks, "one worker fewer", func(s *supervisor) { s.scaleOne(-1) }},
	{unix.SIGHUP, signalAsks, "reopen the log file and reload", func(s *supervisor) { s.hangUp() }},
	{unix.SIGUSR2, signalAsks, "become the new program, in place", func(s *supervisor) { s.askUpgrade(-1) }},
	{unix.SIGTERM, signalEnds, "stop gracefully", func(s *supervisor) { s.stop(stopGraceful) }},
	{unix.SIGINT, signalInterrupts, "stop gracefully; the second time quickly", func(s *supervisor) { s.interrupted() }},
	{unix.SIGQUIT, signalInterrupts, "stop quickly", func(s *supervisor) { s.stop(stopQuick) }},
}

// signalKind says from when on a master catches a signal.
type signalKind int

const (
	signalAsks       signalKind = iota // from the beginning: it asks for something, see earlysignals.Requests
	signalEnds                         // from when there is something to stop: until then it ends the process
	signalInterrupts                   // likewise; never, if it was ignored when the process started
)

// signalled: the master was sent a signal of the table.
type signalled struct{ signal os.Signal }

// signalled does what the signal asks for.
func (s *supervisor) signalled(e signalled) {
	for _, row := range signalTable {
		if row.signal == e.signal {
			s.log.Debug("signal", "signal", unix.SignalName(e.signal.(unix.Signal)))
			row.do(s)
		}
	}
}

// signals turns signals into events for the supervisor. run is its goroutine; the
// supervisor's calls holdForNext, and Run's the others, before and after it.
type signals struct {
	// ignoresInterrupts: INT and QUIT are ignored, since they were at the start. A shell
	// starts the background jobs of a script so: Ctrl-C is for what is in the foreground.
	ignoresInterrupts bool

	received chan os.Signal
	held     chan chan struct{} // from hold: run waits until what it receives is closed
	quit     chan struct{}

	post func(signalled) // to the supervisor; set before run
}

// newSignals catches the signals that ask for something. They wait until run runs; the
// others are left to catchEnds.
//
// QUIT is taken to be ignored if INT is, as a shell has it: the Go runtime takes QUIT
// for itself before anybody can see how it was (initsig in runtime/signal_unix.go).
func newSignals() *signals { return makeSignals(signal.Ignored(unix.SIGINT)) }

// restoreSignals catches all signals, in a program that takes over. The one before
// has ignored them on its way here, so it has to say how they were.
func restoreSignals(ignoresInterrupts bool) *signals {
	n := makeSignals(ignoresInterrupts)
	n.catchEnds()
	return n
}

func makeSignals(ignoresInterrupts bool) *signals {
	received := earlysignals.Channel()
	if received == nil {
		// Room for every signal at once and a few more: the kernel keeps at most
		// one pending of each kind, and run hands them on without waiting.
		received = make(chan os.Signal, 4*len(signalTable))
	}
	n := &signals{ignoresInterrupts: ignoresInterrupts, received: received, held: make(chan chan struct{}), quit: make(chan struct{})}
	n.catch(signalAsks)
	return n
}

// catchEnds catches those that end a program, too: from now on there is something
// to undo.
func (n *signals) catchEnds() {
	n.catch(signalEnds)
	n.catch(signalInterrupts)
}

func (n *signals) catch(when signalKind) {
	for _, row := range signalTable {
		switch {
		case row.when != when:
		case n.ignores(row.when):
			signal.Ignore(row.signal)
		default:
			signal.Notify(n.received, row.signal)
		}
	}
}

func (n *signals) ignores(when signalKind) bool {
	return n.ignoresInterrupts && when == signalInterrupts
}

// release gives the signals back, at the end of Run, to a program that goes on. A program
// that ends then keeps them (package earlysignals), so that none ends or stops it on its
// last steps.
func (n *signals) release() {
	if !earlysignals.Kept() {
		signal.Stop(n.received)
	}
}

func (n *signals) run() error {
	for {
		select {
		case got := <-n.received:
			n.handle(got)
		case release := <-n.held:
			<-release
		case <-n.quit:
			return nil
		}
	}
}

// hold returns when every signal that this process was sent is handed on; what
// comes later is not, until release is called.
func (n *signals) hold() (release func()) {
	idle := make(chan os.Signal, 1)
	signal.Notify(idle, unix.SIGCHLD)
	signal.Stop(idle) // it waits until the runtime has delivered what it had caught
	held := make(chan struct{})
	for {
		select {
		case got := <-n.received: // before those that the goroutine has not seen
			n.handle(got)
		case n.held <- held: // it hands nothing on now
			if len(n.received) == 0 {
				return func() { close(held) }
			}
			close(held)
			held = make(chan struct{})
		}
	}
}

func (n *signals) handle(got os.Signal) {
	for _, row := range signalTable {
		if row.signal == got && !n.ignores(row.when) {
			n.post(signalled{got})
		}
	}
}

func (n *signals) interrupt(error) { close(n.quit) }

// holdForNext keeps the master's signals for the program that this process becomes, as
// far as the Go runtime lets it (package earlysignals), until release is called: those that
// came are handed on, and what comes is blocked in the calling thread, since the mask
// outlives execve(2), or else ignored.
func (n *signals) holdForNext() (release func(), err error) {
	kept := []unix.Signal{unix.SIGCHLD}
	for _, row := range signalTable {
		kept = append(kept, row.signal.(unix.Signal))
	}
	unblock, err := sigmask.Block(kept...)
	if err != nil {
		return nil, err
	}
	signal.Ignore(earlysignals.Ignored...)
	goOn := n.hold()
	return func() {
		goOn()
		n.catch(signalAsks)
		n.catchEnds()
		unblock()
	}, nil
}
