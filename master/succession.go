package master

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/early"
	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/sigmask"
	"golang.org/x/sys/unix"
)

// succession is what an upgrade needs of this process.
type succession struct {
	path       string   // of the program, as it was started: a link in it may lead elsewhere by now
	executable int      // owned: this program's file, to go back to
	control    *control // nil: none
	reaper     *child.Reaper
	signals    *signals
	log        hclog.Logger
	logs       *LogWriter // nil: none
	notifier   notifier
}

// The environment of a program that takes over.
const (
	upgradeVariable      = early.Variable        // the descriptor of the estate
	upgradeTestVariable  = "USHER_UPGRADE_TEST"  // the descriptor to answer on: it is a test
	upgradeCarryVariable = "USHER_UPGRADE_CARRY" // of a test: the descriptor of an estate to find Config.Carry in
	upgradeErrorVariable = "USHER_UPGRADE_ERROR" // why the new program could not, for the old one
)

// openExecutable returns an owned descriptor of this program's file, whatever
// its path leads to by now.
func openExecutable() (int, error) {
	const path = "/proc/self/exe"
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	switch err {
	case nil:
		return fd, nil
	case unix.ENOENT:
		return -1, fmt.Errorf("open %s: %w; is /proc mounted?", path, err)
	case unix.EACCES:
		return -1, fmt.Errorf("open %s: %w; this user has to be permitted to read the program's file", path, err)
	}
	return -1, &os.PathError{Op: "open", Path: path, Err: err}
}

// programPath returns the absolute path by which this program was started.
func programPath() string {
	if path, err := exec.LookPath(os.Args[0]); err == nil || errors.Is(err, exec.ErrDot) {
		if path, err = filepath.Abs(path); err == nil {
			return path
		}
	}
	path, _ := os.Executable() // none: then the upgrade says that it cannot start it
	return path
}

// upgradeEnviron returns this process's environment for a program that takes over.
func upgradeEnviron(variables ...string) []string {
	var environ []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, upgradeVariable) {
			environ = append(environ, variable)
		}
	}
	return append(environ, variables...)
}

// become has the test read the estate as it is at last, and makes this process
// the new program. It returns only with an error, and then all is as before. To
// be called by a locked thread, while nobody forks.
func (s *succession) become(e *estate, test *selfTest) error {
	if len(e.Accept.PerIP) > 0 {
		census, err := sealMemory("usher-census", e.Accept.PerIP)
		if err != nil {
			return err
		}
		defer unix.Close(census)
		e.Accept.PerIPMemory = census
	}
	memory, err := e.write()
	if err != nil {
		return err
	}
	defer unix.Close(memory)
	if err := test.ask(memory, confirmLimit); err != nil {
		return err
	}
	if err := anyLeft(len(e.boards()) + descriptorsToStart); err != nil {
		return err
	}
	release, err := s.holdSignals()
	if err != nil {
		return err
	}
	defer release()
	defer s.signals.hold()()
	if !s.signals.supervisor.inbox.Empty() {
		return errNotYet // the next program would not know of it
	}
	s.notifier.flush(handOverLimit)
	return execute(s.path, append(e.descriptors(), memory), upgradeVariable+"="+strconv.Itoa(memory), missingVariable(s.logs.handOver()))
}

// pathOfStart is where the path of a program that is to take over was given.
const pathOfStart = "the path by which this program was started"

// execute is execve(2) with descriptors that stay. It returns only with an error.
func execute(path string, fds []int, variables ...string) error {
	syscall.ForkLock.Lock() // or a child could have them
	defer syscall.ForkLock.Unlock()
	defer func() { _ = setInheritable(fds, false) }() // as before
	if err := setInheritable(fds, true); err != nil {
		return err
	}
	err := syscall.Exec(path, os.Args, upgradeEnviron(variables...))
	return fmt.Errorf("%s: %w", path, child.StartHint(path, pathOfStart, os.NewSyscallError("execve", err)))
}

// setInheritable lets an exec keep the descriptors, or not any more.
func setInheritable(fds []int, on bool) error {
	flags := unix.FD_CLOEXEC
	if on {
		flags = 0
	}
	for _, fd := range fds {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags); err != nil {
			return os.NewSyscallError("fcntl", err)
		}
	}
	return nil
}

// holdSignals keeps the master's signals for the next program, as far as the Go
// runtime lets it (package early), until release is called: blocked in this
// thread, since the mask outlives execve(2), or else ignored.
func (s *succession) holdSignals() (release func(), err error) {
	kept := []unix.Signal{unix.SIGCHLD}
	for _, row := range signalTable {
		kept = append(kept, row.signal.(unix.Signal))
	}
	undo, err := sigmask.Block(kept...)
	if err != nil {
		return nil, err
	}
	signal.Ignore(early.Ignored...)
	return func() {
		s.signals.catch(signalAsks)
		s.signals.catchEnds()
		undo()
	}, nil
}

// answerUpgrade tells one who waits for POST /v1/upgrade what came of it, and
// closes the connection: it outlived the program that read the request. An
// error counts if it is not nil.
func answerUpgrade(client int, version string, failure error) {
	status, answer := http.StatusOK, map[string]string{"version": version}
	if failure != nil {
		status, answer = http.StatusConflict, map[string]string{"error": failure.Error()}
	}
	body, _ := json.Marshal(answer) // strings never fail
	text := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), len(body), body)
	_ = unix.Sendto(client, []byte(text), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, nil) // the client may be gone
	_ = unix.Close(client)                                                          // all is said
}
