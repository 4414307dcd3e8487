package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

const (
	// minInterval is the least --interval: each time costs the master some work.
	minInterval = 100 * time.Millisecond
	// maxSilence is how long an answer may be late before that is shown; an upgrade takes less.
	maxSilence = 3 * time.Second
)

// answer is what the master said, or why it said nothing.
type answer struct {
	sample
	body []byte // of the status, JSON
	err  error
}

// view shows one status after another. Its functions may block for as long as nobody reads.
type view interface {
	// show shows a status.
	show(a answer, r rates) error
	// silence shows that no answer has come for some time; why may be nil.
	silence(elapsed time.Duration, why error) error
	// redraw shows the same once more, if the terminal may be another now.
	redraw() error
	// suspend is called when the shell stops this process, and wants its screen back.
	suspend() error
	// end leaves what was shown last. farewell may be empty.
	end(farewell string) error
}

// watch shows the status until the server has gone, or a signal ends it. It blocks.
func (c *statusCommand) watch() error {
	if c.Interval < minInterval {
		return usageError{fmt.Errorf("--interval is %v, want %v or more", c.Interval, minInterval)}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	control, first := askStatus(ctx, c.Control)
	if first.err != nil {
		return first.err
	}
	signals := make(chan os.Signal, 8) // of each kind one
	for _, s := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGWINCH, unix.SIGCONT, unix.SIGTSTP} {
		if !signal.Ignored(s) { // as nohup(1) and a script's background want it
			signal.Notify(signals, s)
		}
	}
	defer signal.Stop(signals)
	answers := make(chan answer)
	go askAgain(ctx, control, c.Interval, answers)
	view := c.view(os.Stdout)
	farewell, err := follow(view, first, answers, signals, c.Interval)
	return errors.Join(err, view.end(farewell))
}

// view returns how to show it on a terminal, elsewhere, or to programs.
func (c *statusCommand) view(to *os.File) view {
	switch {
	case c.JSON:
		return objectView{to}
	case drawable(to):
		return &screen{terminal: to}
	}
	return lineView{to}
}

// follow shows what comes until the end, and returns what to say then.
func follow(view view, first answer, answers <-chan answer, signals <-chan os.Signal, interval time.Duration) (farewell string, err error) {
	last, why := first, error(nil)
	if err := view.show(first, rates{}); err != nil {
		return "", err
	}
	late := time.NewTicker(interval)
	defer late.Stop()
	for {
		select {
		case a := <-answers:
			switch {
			case hasGone(a.err) || a.err == nil && !sameServer(first.status, a.status):
				return "the server has ended", nil
			case a.err != nil:
				why = a.err
			default:
				err = view.show(a, ratesBetween(last.sample, a.sample))
				last, why = a, nil
			}
		case now := <-late.C:
			if elapsed := now.Sub(last.at); elapsed > max(maxSilence, 2*interval) {
				err = view.silence(elapsed, why)
			}
		case s := <-signals:
			switch s {
			case unix.SIGTSTP: // Ctrl-Z
				err = errors.Join(view.suspend(), suspend())
			case unix.SIGCONT, unix.SIGWINCH:
				err = view.redraw()
			default:
				return "", nil
			}
		}
		if err != nil {
			return "", err
		}
	}
}

// suspend stops this process, as Ctrl-Z does others; but not in the group of a session's
// leader, which no shell could continue. (A Go program that has asked for SIGTSTP cannot go
// back to what the kernel does by default: signal.Reset leaves the handler.)
func suspend() error {
	session, err := unix.Getsid(0)
	if err != nil || session == unix.Getpgrp() {
		return os.NewSyscallError("getsid", err)
	}
	return os.NewSyscallError("kill", unix.Kill(unix.Getpid(), unix.SIGSTOP))
}

// askAgain asks at each interval, and passes on what came, until ctx is done. It is a
// goroutine of its own, so that a master that does not answer holds up nothing else.
func askAgain(ctx context.Context, control string, interval time.Duration, answers chan<- answer) {
	pace := time.NewTicker(interval)
	defer pace.Stop()
	for {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
		_, a := askStatus(ctx, control)
		select {
		case answers <- a:
		case <-ctx.Done():
			return
		}
	}
}

// askStatus asks for the status, until ctx is done, and returns on which socket: who watches
// one server is not to be shown another one, which answers at another of the defaults.
func askStatus(ctx context.Context, control string) (path string, a answer) {
	conn, err := dialMaster(control)
	if err != nil {
		return control, answer{err: err}
	}
	path = conn.RemoteAddr().String()
	_ = conn.SetDeadline(time.Now().Add(answerTimeout))         // a socket has deadlines
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // nobody waits for the answer
	defer stop()
	a.body, a.err = exchange(conn, "GET", "/v1/status", nil)
	a.at = time.Now()
	if a.err == nil {
		if err := json.Unmarshal(a.body, &a.status); err != nil {
			a.err = fmt.Errorf("the master's answer: %w", err)
		}
	}
	return path, a
}

// hasGone reports whether an error is that there is no server any more. A master on its way
// to another program has its socket all the time.
func hasGone(err error) bool {
	gone, ok := errors.AsType[*noMaster](err)
	if !ok {
		return false
	}
	_, stranger := errors.AsType[strangerError](gone.reason)
	return stranger || errors.Is(gone.reason, fs.ErrNotExist) || errors.Is(gone.reason, unix.ECONNREFUSED)
}

// sameServer reports whether two statuses are of one server, which an upgrade leaves it. A
// program of before does not say when it was started.
func sameServer(a, b master.Status) bool {
	return a.PID == b.PID && (a.Started.IsZero() || b.Started.IsZero() || a.Started.Equal(b.Started))
}

// objectView has an object a line.
type objectView struct{ to *os.File }

func (v objectView) show(a answer, _ rates) error {
	var line bytes.Buffer
	if err := json.Compact(&line, a.body); err != nil {
		return fmt.Errorf("the master's answer: %w", err)
	}
	line.WriteByte('\n')
	_, err := v.to.Write(line.Bytes())
	return err
}

func (objectView) silence(time.Duration, error) error { return nil }
func (objectView) redraw() error                      { return nil }
func (objectView) suspend() error                     { return nil }
func (objectView) end(string) error                   { return nil }
