package worker

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// maxWorking is how many calls of work run at a time; more wait for their turn. Each that
// blocks in a system call holds a thread.
const maxWorking = 256

// offloop is the work that the loop has given to other goroutines. It belongs to the
// loop's goroutine. Each of the others knows its job alone, and puts it into
// loop.messages when it is done.
type offloop struct {
	working int    // goroutines
	waiting []*job // in order; not bounded here, but connections with jobs get no input
}

// job is one call of Conn.Go. work and err are its goroutine's until that has put it
// into loop.messages, and then the loop's.
type job struct {
	conn       *Conn
	work, then func()
	err        error
}

// Go has another goroutine call work, and when it has returned the loop call
// then, as a callback of this connection. It is for what blocks or takes long: a
// database, a file, a hash. work may use of the connection only Post and what else is
// for any goroutine; what it finds it leaves in variables that then reads.
//
// Until then has returned, the connection's input waits: Data is not called, nothing
// is read, and the peer's end of file is not noticed. Output goes on. A Data that calls
// Go should return after that, and is given again what it left. The idle timeout does
// not count meanwhile, and begins anew afterwards; deadlines hold as in a pause.
// Calls of Go while work is outstanding run side by side, and input waits for all
// of them. At most 256 run at a time in a worker; more wait.
//
// If the connection comes to its end meanwhile, work goes on, since nothing can
// stop it, and then is not called. The same holds when the worker ends: that waits for
// connections, and not for work. A panic in either ends the connection with ErrPanic,
// and so does runtime.Goexit in work. On a connection that is closing, neither is called.
//
// A connection with work outstanding does not move.
func (c *Conn) Go(work, then func()) {
	if !c.loop.here() {
		_ = c.loop.stray("Conn.Go") // logged
		return
	}
	if c.ending() {
		return
	}
	c.addUnfinished().jobs++
	c.state.hold(holdWork)
	c.touch()
	c.loop.startWork(&job{conn: c, work: work, then: then})
}

// startWork runs j, or has it wait. While any work is outstanding the loop waits for
// events through Go's scheduler, so that it does not keep the work from a processor.
func (l *loop) startWork(j *job) {
	o := &l.offloop
	if o.working == maxWorking {
		o.waiting = append(o.waiting, j)
		return
	}
	if o.working++; o.working == 1 {
		l.mindYield()
	}
	go func() {
		defer l.messages.Put(message{job: j}) // however it ends
		j.run()
	}()
}

// errGoexit is what a goroutine that ends itself has instead of a panic's value.
var errGoexit = errors.New("runtime.Goexit was called")

// run calls work, on a goroutine of its own.
func (j *job) run() {
	returned := false
	defer func() {
		value := recover()
		if returned {
			return
		}
		if value == nil {
			value = errGoexit
		}
		j.conn.loop.log.Error("handler panicked", "conn", j.conn.id, "reason", "Go",
			"error", value, "stack", string(debug.Stack()))
		j.err = fmt.Errorf("%w in Go: %v", ErrPanic, value)
	}()
	j.work()
	returned = true
}

// workDone is called on the loop's goroutine when j has run.
func (l *loop) workDone(j *job) {
	o := &l.offloop
	o.working--
	for o.working < maxWorking && len(o.waiting) > 0 {
		next := o.waiting[0]
		o.waiting[0] = nil
		o.waiting = o.waiting[1:]
		if !next.conn.ending() {
			l.startWork(next)
		}
	}
	if o.working == 0 {
		l.mindYield()
	}
	j.conn.jobDone(j)
}

// jobDone calls then, and lets input go on.
func (c *Conn) jobDone(j *job) {
	if c.state.phase() >= phaseClosed {
		return
	}
	switch {
	case c.ending():
	case j.err != nil:
		c.end(j.err)
	default:
		if err := c.callThen(j.then); err != nil {
			c.end(err)
		}
	}
	if c.state.phase() >= phaseClosed || c.unfinished == nil {
		return // then has aborted it
	}
	c.unfinished.jobs--
	if c.unfinished.jobs == 0 {
		c.state.unhold(holdWork)
		c.state.owe(dueReplay)
		c.progressed()
		c.touch()
		c.releaseUnfinished()
	}
}
