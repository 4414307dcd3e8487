package master

import (
	"errors"
	"fmt"
	"os"

	"github.com/usher-go/usher/fdpass"
	"golang.org/x/sys/unix"
)

// This file is the self-test in the child, which runs the new program: selftest.go is the
// master's side.

// runSelfTest answers the questions of a master that wants to become this program. It is
// what Run does in the child, and returns when the master asks no more.
func runSelfTest(config *Config) error {
	fd, _ := descriptorVariable(upgradeTestVariable)
	return answerQuestions(fd, func(memory int) error {
		state, err := readUpgradeState(memory)
		if err != nil {
			return err
		}
		return errors.Join(state.fits(config), state.loadTLS(config))
	})
}

// answerQuestions answers until nobody asks any more. look reads a state as a takeover
// would.
func answerQuestions(fd int, look func(memory int) error) error {
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
	var received error
	memories := make([]int, 1)
	err = raw.Read(func(fd uintptr) bool {
		_, _, received = new(fdpass.Receiver).Receive(int(fd), make([]byte, 1), memories, func([]byte) (int, error) { return 1, nil })
		return !errors.Is(received, fdpass.ErrWouldBlock)
	})
	if err = errors.Join(err, received); err != nil {
		return -1, fmt.Errorf("self-test: %w", err)
	}
	return memories[0], nil
}
