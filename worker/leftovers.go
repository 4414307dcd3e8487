package worker

import "time"

// leftovers is what a connection owns only while something about it is
// unfinished. An idle connection has none.
type leftovers struct {
	raw       []byte // input that the transport did not use: less than a unit of it
	in        []byte // input that Data did not consume
	out       []byte // output that the kernel did not take, from written on
	written   int
	files     []outgoing // to send after it
	cause     error      // what ended the connection, when not in order
	deadlines deadlines
	timers    *Timer        // that are to run
	flushing  int           // bytes of output when the present bound for flushing began; likewise of the kernel's queue, while lingering
	discarded int           // bytes, while lingering
	lingerEnd time.Duration // when it is over in any case, on the loop's clock
	jobs      int           // of Go that are outstanding
	maxInput  int           // by SetMaxInput; 0: the worker's
	flowing   func() error  // to call when input goes on, or nil
	dialling  *dialling
	large     largeRest
}

// freeLeftoversKept bounds the free list.
const freeLeftoversKept = 256

func (l *loop) newLeftovers() *leftovers {
	n := len(l.leftovers)
	if n == 0 {
		return new(leftovers)
	}
	left := l.leftovers[n-1]
	l.leftovers = l.leftovers[:n-1]
	return left
}

func (l *loop) freeLeftovers(left *leftovers) {
	*left = leftovers{}
	if len(l.leftovers) < freeLeftoversKept {
		l.leftovers = append(l.leftovers, left)
	}
}
