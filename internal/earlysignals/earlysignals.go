// Package earlysignals asks for a master's signals as soon as a Go program can: when the
// package is initialised, in a program that takes over by an upgrade in place (Variable
// is in its environment); and by Catch, in one that is about to be a master. Package
// master takes them from Channel once it runs. In all other programs, such as a worker,
// it does nothing. No signal gets a goroutine here: they wait in the channel.
//
// USR1, USR2 and CHLD are blocked when a program that takes over starts, and stay
// pending until somebody asks for them. The others cannot be kept so. HUP, INT, TERM and
// QUIT are unblocked by the Go runtime before anything else (blockableSig in
// runtime/signal_unix.go); TTIN and TTOU have no handler yet when they are
// unblocked, and would stop the process (sigenable there). So those are ignored
// when the program starts, and what comes of them is lost until this package is
// initialised. TERM and QUIT end the process if they come when the runtime has
// installed its handlers, until then, well below a millisecond.
package earlysignals

import (
	"os"
	"os/signal"
	"syscall"
)

// Variable is in the environment of a program that takes over.
const Variable = "USHER_UPGRADE"

// Ignored are the signals that cannot be kept blocked.
var Ignored = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGTTIN, syscall.SIGTTOU,
}

// Requests are the signals that ask a master for something. In a Go program that has
// not asked for them HUP ends it, TTIN and TTOU stop it, USR1 and USR2 are lost.
var Requests = []os.Signal{
	syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTTIN, syscall.SIGTTOU,
}

var (
	caught chan os.Signal
	kept   bool
)

func init() {
	if _, ok := os.LookupEnv(Variable); ok {
		catch(Ignored)
	}
}

func catch(signals []os.Signal) {
	caught = make(chan os.Signal, 64) // the kernel merges those of a kind
	signal.Notify(caught, signals...)
}

// Catch is for the beginning of a program that will be a master, and nothing else
// after it. It keeps the requests that come from now on; what ends a program (TERM,
// INT, QUIT) still does, as there is nothing to stop yet. A program that takes over
// has asked for what it can.
func Catch() {
	kept = true
	if caught == nil {
		catch(Requests)
	}
}

// Kept reports whether the signals are to stay caught when the master has ended:
// Catch was called.
func Kept() bool { return kept }

// Channel returns the channel on which the signals come, and have come since the
// start: for whoever is to have them from now on. It is nil unless this program
// takes over, or has called Catch.
func Channel() chan os.Signal { return caught }
