package master

import (
	"os"
	"os/signal"

	"github.com/usher-go/usher/internal/early"
	"golang.org/x/sys/unix"
)

// signalTable is what each signal to the master does. Signals that are not in
// it keep their default action; the kernel merges those of one kind that come
// faster than they are handled (signal(7)).
var signalTable = []struct {
	signal os.Signal
	doc    string
	do     func(*supervisor)
}{
	{unix.SIGUSR1, "one more worker", func(s *supervisor) { s.scaleOne(+1) }},
	{unix.SIGTTIN, "one more worker", func(s *supervisor) { s.scaleOne(+1) }},
	{unix.SIGTTOU, "one worker fewer", func(s *supervisor) { s.scaleOne(-1) }},
	{unix.SIGHUP, "reload", func(s *supervisor) { s.askReload(nil) }},
	{unix.SIGUSR2, "become the new program, in place", func(s *supervisor) { s.askUpgrade(-1) }},
	{unix.SIGTERM, "stop gracefully", func(s *supervisor) { s.stop(stopGraceful) }},
	{unix.SIGINT, "stop gracefully; the second time quickly", func(s *supervisor) { s.interrupted() }},
	{unix.SIGQUIT, "stop quickly", func(s *supervisor) { s.stop(stopQuick) }},
}

// signals turns signals into requests to the supervisor.
type signals struct {
	supervisor *supervisor
	received   chan os.Signal
	held       chan chan struct{} // each is closed to go on
	quit       chan struct{}
}

// newSignals catches the signals from now on; they are handled once run runs.
func newSignals(s *supervisor) *signals {
	received := early.Channel()
	if received == nil {
		// Room for every signal at once and a few more: the kernel keeps at most
		// one pending of each kind, and run hands them on without waiting.
		received = make(chan os.Signal, 4*len(signalTable))
	}
	n := &signals{supervisor: s, received: received, held: make(chan chan struct{}), quit: make(chan struct{})}
	for _, row := range signalTable {
		signal.Notify(n.received, row.signal)
	}
	return n
}

func (n *signals) run() error {
	defer signal.Stop(n.received)
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
		if row.signal == got {
			n.supervisor.inbox.put(func() {
				n.supervisor.log.Debug("signal", "signal", unix.SignalName(got.(unix.Signal)))
				row.do(n.supervisor)
			})
		}
	}
}

func (n *signals) interrupt(error) { close(n.quit) }
