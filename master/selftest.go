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

// selfTest is a child that runs the new program with the arguments of this one. Its Run
// reads the upgrade state and says whether it could take over (selftested.go). It stays, to
// read the state once more when that is final. It is a *testedChild.
type selfTest interface {
	ask(memory int, limit time.Duration) error // whether it could take over what is in memory, which is borrowed; blocks
	end()                                      // ends it, and does not wait for its end
}

type testedChild struct {
	command *child.Command
	answers *os.File // a SOCK_SEQPACKET socket, on which a memfd is sent and an answer comes back
}

const (
	testLimit    = 10 * time.Second // for the child to start and read the state
	confirmLimit = 2 * time.Second  // to read it again
	testedWell   = "ok"             // the answer; any other is an error
	maxAnswer    = 4096
)

// startTest starts the new program, whose path is in spec, and returns when it has read
// the state. The caller ends the test. It blocks.
func startTest(state *upgradeState, spec child.CommandSpec, r *child.Reaper) (*testedChild, error) {
	memory, err := state.write()
	if err != nil {
		return nil, err
	}
	defer unix.Close(memory)
	t, err := startTestedChild(memory, spec, r)
	if err != nil {
		return nil, err
	}
	if err := t.ask(memory, testLimit); err != nil {
		defer t.end()
		return nil, fmt.Errorf("%s: %w", spec.Path, t.explain(err))
	}
	return t, nil
}

func startTestedChild(memory int, spec child.CommandSpec, r *child.Reaper) (*testedChild, error) {
	mine, its, err := fdpass.Pair()
	if err != nil {
		return nil, err
	}
	defer unix.Close(its)
	t := &testedChild{answers: os.NewFile(uintptr(mine), "self-test")}
	spec.Argv, spec.Files, spec.Log = os.Args, []int{its, memory}, spec.Log.With("reason", "self-test")
	spec.Env = upgradeEnviron(upgradeTestVariable+"=3", upgradeCarryVariable+"=4")
	if t.command, err = child.StartCommand(spec, r); err != nil {
		_ = t.answers.Close() // the first error is the one to report
		return nil, fmt.Errorf("%s: %w", spec.Path, child.StartHint(spec.Path, pathOfStart, err))
	}
	return t, nil
}

var errNoAnswer = errors.New("it ended without an answer")

// ask sends the memory, and waits for the answer.
func (t *testedChild) ask(memory int, limit time.Duration) error {
	_ = t.answers.SetDeadline(time.Now().Add(limit)) // a socket has deadlines
	raw, err := t.answers.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		sent = new(fdpass.Sender).Send(int(fd), []byte{0}, []int{memory})
		return true // one try
	})
	if errors.Is(sent, fdpass.ErrPeerClosed) {
		return errNoAnswer
	}
	if err = errors.Join(err, sent); err != nil {
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

// explain adds to errNoAnswer how the child ended, and what it wrote to standard error.
func (t *testedChild) explain(err error) error {
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

func (t *testedChild) end() {
	_ = t.answers.Close() // whereupon it exits
	t.command.Kill()
}
