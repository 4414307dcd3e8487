package master

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/master/internal/child"
	"golang.org/x/sys/unix"
)

// selfTest is a child that runs the new program as a takeover would, up to the
// point where it would take over: it reads the estate, and says whether it
// could. It stays, to read it once more when it is final.
type selfTest struct {
	command *child.Command
	answers *os.File // a SOCK_SEQPACKET socket: a memfd there, an answer back
}

const (
	testLimit    = 10 * time.Second // for the child to start and read the estate
	confirmLimit = 2 * time.Second  // to read it again
	testedWell   = "ok"             // the answer; any other is an error
	maxAnswer    = 4096
)

// test starts the new program, and returns when it has read the estate. The
// caller ends the test. Called on a goroutine of its own: it blocks.
func (s *succession) test(e *estate) (*selfTest, error) {
	memory, err := e.write()
	if err != nil {
		return nil, err
	}
	defer unix.Close(memory)
	t, err := s.startTest(memory)
	if err != nil {
		return nil, err
	}
	if err := t.ask(memory, testLimit); err != nil {
		defer t.end()
		return nil, fmt.Errorf("%s: %w", s.path, t.explain(err))
	}
	return t, nil
}

func (s *succession) startTest(memory int) (*selfTest, error) {
	mine, its, err := fdpass.Pair()
	if err != nil {
		return nil, err
	}
	defer unix.Close(its)
	t := &selfTest{answers: os.NewFile(uintptr(mine), "self-test")}
	t.command, err = child.StartCommand(child.CommandSpec{
		Path: s.path, Argv: os.Args, Files: []int{its, memory},
		Env: upgradeEnviron(upgradeTestVariable+"=3", upgradeCarryVariable+"=4"),
		Log: s.log.With("reason", "self-test"), AwaitRoom: s.logs.awaitRoom,
	}, s.reaper)
	if err != nil {
		_ = t.answers.Close() // the first error is the one to report
		return nil, fmt.Errorf("%s: %w", s.path, child.StartHint(s.path, pathOfStart, err))
	}
	return t, nil
}

var errNoAnswer = errors.New("it ended without an answer")

// ask sends the estate, borrowed, and waits for the answer.
func (t *selfTest) ask(memory int, limit time.Duration) error {
	_ = t.answers.SetDeadline(time.Now().Add(limit)) // a socket has deadlines
	raw, err := t.answers.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		sent = unix.Sendmsg(int(fd), []byte{0}, unix.UnixRights(memory), nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		return true
	})
	if sent == unix.EPIPE || sent == unix.ECONNRESET {
		return errNoAnswer
	}
	if err = errors.Join(err, os.NewSyscallError("sendmsg", sent)); err != nil {
		return err
	}
	answer := make([]byte, maxAnswer)
	n, err := t.answers.Read(answer)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("no answer within %v", limit)
	case err != nil:
		return errNoAnswer
	case string(answer[:n]) != testedWell:
		return errors.New(string(answer[:n]))
	}
	return nil
}

// explain adds to a missing answer how the child ended, and what it said.
func (t *selfTest) explain(err error) error {
	if !errors.Is(err, errNoAnswer) {
		return err
	}
	select {
	case status := <-t.command.Exited:
		return fmt.Errorf("%w, with %s: %s", err, child.Reason(status), t.command.StderrTail())
	case <-time.After(testLimit): // it closed the socket and goes on
		return err
	}
}

// end ends the child, and does not wait for its end. A nil test has none.
func (t *selfTest) end() {
	if t == nil {
		return
	}
	_ = t.answers.Close() // whereupon it exits
	t.command.Kill()
}

// beTested is the child's side: it answers until nobody asks any more. look
// reads an estate as a takeover would.
func beTested(fd int, look func(memory int) error) error {
	socket := os.NewFile(uintptr(fd), "self-test")
	defer socket.Close()
	for {
		memory, err := receiveMemory(socket)
		if err != nil {
			return nil // nobody asks any more
		}
		answer := testedWell
		if err := look(memory); err != nil {
			answer = err.Error()
		}
		_ = unix.Close(memory) // it was read
		if _, err := socket.Write([]byte(answer[:min(len(answer), maxAnswer)])); err != nil {
			return nil
		}
	}
}

// receiveMemory waits for a packet with one descriptor, which the caller owns.
func receiveMemory(socket *os.File) (memory int, err error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return -1, err
	}
	rights := make([]byte, unix.CmsgSpace(4))
	n := 0
	var received error
	err = raw.Read(func(fd uintptr) bool {
		_, n, _, _, received = unix.Recvmsg(int(fd), make([]byte, 1), rights, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
		return received != unix.EAGAIN
	})
	if err = errors.Join(err, os.NewSyscallError("recvmsg", received)); err != nil {
		return -1, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		return -1, errors.New("self-test: no descriptor came")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return -1, err
	}
	return fds[0], nil
}
