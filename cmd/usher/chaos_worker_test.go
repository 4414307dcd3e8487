package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// The programs that the story deploys. Those from programForgets on hold
// connections, and are broken; the others of the broken ones never get ready.
const (
	programGood    = "good"
	programForgets = "forgets" // cannot restore any state
	programCrashes = "crashes" // exits when it is to restore one
	programRetires = "retires" // wants no more as soon as it is ready
)

func init() {
	helpers["worker-chaos"] = func() { chaosWorker(os.Args[2], os.Args[3]) }
}

// chaosWorker serves as one of the programs, and writes into the journal at path
// what becomes of each of its connections.
func chaosWorker(program, path string) {
	j, err := openJournal(path, program)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var hooks worker.Hooks
	if program == programRetires {
		hooks.Ready = func() { _ = unix.Kill(os.Getpid(), unix.SIGTERM) } // it is alive
	}
	worker.Main(worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		if c.Listener() == badListener {
			return misled{j}, nil
		}
		what := deedOpen
		if c.Moved() {
			what = deedArrive
		}
		j.write(what, c, nil)
		return &recorded{conn: c, journal: j}, nil
	}), worker.WithHooks(hooks))
}

// recorded is the session summing: each line is answered with the connection's
// number, that of the line, the checksum of all lines, and the pid of the worker.
type recorded struct {
	summing
	conn    *worker.Conn
	journal *journalWriter
}

var errForgot = errors.New("as the story has it, this program restores no state")

func (s *recorded) Data(c *worker.Conn, in []byte) (n int, err error) {
	for n < len(in) {
		end := strings.IndexByte(string(in[n:]), '\n')
		if end < 0 {
			break
		}
		s.add(in[n : n+end])
		_, err = fmt.Fprintf(c, "%s%d\n", s.answer(c.ID()), os.Getpid())
		n += end + 1
	}
	return n, err
}

// answer is what is owed to the client of connection id, but for the pid.
func (s *summing) answer(id uint64) string { return fmt.Sprintf("%d %d %d ", id, s.lines, s.sum) }

// MarshalBinary may be called in vain: the next deed tells.
func (s *recorded) MarshalBinary() ([]byte, error) {
	s.journal.write(deedFreeze, s.conn, nil)
	return s.summing.MarshalBinary()
}

func (s *recorded) UnmarshalBinary(b []byte) error {
	switch s.journal.program {
	case programForgets:
		s.journal.write(deedRefuse, s.conn, errForgot)
		return errForgot
	case programCrashes:
		s.journal.write(deedExit, s.conn, errForgot)
		os.Exit(crashStatus)
	}
	if err := s.summing.UnmarshalBinary(b); err != nil {
		s.journal.write(deedRefuse, s.conn, err)
		return err
	}
	s.journal.write(deedThaw, s.conn, nil)
	return nil
}

func (s *recorded) Close(c *worker.Conn, cause error) { s.journal.write(deedClose, c, cause) }
