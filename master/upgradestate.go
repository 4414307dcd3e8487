package master

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/dispatch"
	"github.com/usher-go/usher/master/internal/fileid"
	"github.com/usher-go/usher/master/internal/listen"
	"golang.org/x/sys/unix"
)

// upgradeState is all that a master hands over to the program that takes its place in
// the same process: see upgrade.go. It is handed over as JSON in a sealed memfd, under
// names that may not change, so some have tags: fields that a program does not know are
// passed over, and what is missing is zero. Descriptors are numbers of the process,
// which survive exec(2).
//
// The parts of the accept goroutine, the listeners, the workers' processes and their
// program are described in those packages.
type upgradeState struct {
	Format            int                 // upgradeFormat
	Version           string              // of the program that wrote it, as status shows it
	Protocol          int                 // of the workers that it has started; 0: not known before a worker is ready
	Began             int64               // nanoseconds on CLOCK_MONOTONIC: when the last try began, after which nothing is accepted
	Program           string              // the path by which it was started
	Worker            *child.ProgramState // of the generation that serves; nil: not known
	Carry             []byte              // Config.Carry
	OldProgram        int                 `json:"Old"` // descriptor: the executable that wrote it, to go back to
	Control           int                 // descriptor, -1: none
	ControlFile       fileid.ID           // zero: not known
	Admin             int                 // descriptor, of the admin address's socket; 0: none, or an older program wrote this
	Clients           []int               `json:"Waiting"` // descriptors of those who wait for the answer to POST /v1/upgrade
	IgnoresInterrupts bool                `json:"Deaf"`    // INT and QUIT are ignored: see signals
	Listeners         []listen.State
	Transports        listen.Numbers // by which connections name what their bytes pass
	Slots             []slotState
	Accept            dispatch.State

	Generation int
	Target     int
	Again      bool // a reload was asked for meanwhile
	// Credentials is a descriptor: of the memfd with those of the configuration in force, and
	// with the ticket keys; 0: there are none, or an older program wrote this.
	Credentials int
	// AccessLog is a descriptor: of the access log's file; 0: there is none, or an older
	// program wrote this. AccessLogPath and AccessLogFormat are those of Config.
	AccessLog                      int
	AccessLogPath, AccessLogFormat string
	LastAccess                     uint64        // the id of the last access-log
	LastReload                     *ReloadStatus // nil: there was none
	Reloads                        reloadCounts
	LogLevel, WorkersLogLevel      string // that were asked for; empty: none was
	LastEvent                      uint64 // the id of the latest event; 0: an older program wrote this
	Events                         []byte `json:"-"` // those that are kept: see eventLog.state
	// EventsMemory is a descriptor: of the memfd with Events; 0: there are none.
	EventsMemory int
	LastMove     uint64 // the id of the last move order: no later one is to have an id that a late answer may name

	Own []ownTotalState // what worker programs have measured of their own; an older program writes none

	Started  int64   // when the master was: nanoseconds since 1970; 0: an older program wrote this
	Restarts tallies // of workers, by reason
	// WorkersCPU is the processor time of workers that are gone, in nanoseconds.
	WorkersCPU time.Duration
	// ShownCPU is what was told of it and of the living ones': no less is to be told.
	ShownCPU time.Duration

	Groups []child.GroupState // process groups left behind by workers that are gone
}

// upgradeFormat changes when a program could misunderstand what another hands over. What
// was written in format 1 is read too: see upgradeState1.
const upgradeFormat = 2

// write puts the state into a sealed memfd, close-on-exec, which the caller owns.
func (u *upgradeState) write() (fd int, err error) {
	text, err := json.Marshal(u)
	if err != nil {
		return -1, err
	}
	return fdpass.Seal("usher-upgrade", text)
}

// maxStateMemory is the most that is read of a memfd, in bytes: the addresses of a
// million clients are a thirtieth of it.
const maxStateMemory = 1 << 30

// readUpgradeState reads what is in the memfd, which it borrows.
func readUpgradeState(fd int) (*upgradeState, error) {
	text, err := fdpass.ReadSealed(fd, maxStateMemory)
	if err != nil {
		return nil, fmt.Errorf("upgrade state: %w", err)
	}
	return parseUpgradeState(text)
}

// readPerIP reads which connections count for the limit of each address. That has a memfd
// of its own, which is left open.
func (u *upgradeState) readPerIP() (err error) {
	if u.Accept.PerIPMemory == 0 {
		return nil
	}
	if u.Accept.PerIP, err = fdpass.ReadSealed(u.Accept.PerIPMemory, maxStateMemory); err != nil {
		return fmt.Errorf("connections of each address: %w", err)
	}
	return nil
}

// readEvents reads the events, which have a memfd of their own too.
func (u *upgradeState) readEvents() (err error) {
	if u.EventsMemory == 0 {
		return nil
	}
	if u.Events, err = fdpass.ReadSealed(u.EventsMemory, maxStateMemory); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	return nil
}

// parseUpgradeState reads a state in any format that there has been.
func parseUpgradeState(text []byte) (*upgradeState, error) {
	var head struct{ Format int }
	err := json.Unmarshal(text, &head)
	u := new(upgradeState)
	switch {
	case err != nil:
	case head.Format == upgradeFormat:
		err = json.Unmarshal(text, u)
	case head.Format == 1:
		u, err = parseUpgradeState1(text)
	default:
		err = fmt.Errorf("of format %d, this program reads 1 to %d", head.Format, upgradeFormat)
	}
	if err != nil {
		return nil, fmt.Errorf("upgrade state: %w", err)
	}
	return u, u.check()
}

// check refuses what cannot be: a program that misread it is not to take over.
func (u *upgradeState) check() error {
	slots := make(map[int]bool)
	for _, s := range u.Slots {
		switch {
		case s.Number < 0 || slots[s.Number]:
			return fmt.Errorf("upgrade state: slot %d, out of place or twice", s.Number)
		case s.Life < lifeGone || s.Life >= lifeRemoved:
			return fmt.Errorf("upgrade state: slot %d with life %d", s.Number, s.Life)
		case (s.Process == nil) != (s.Life == lifeGone):
			return fmt.Errorf("upgrade state: slot %d is %s, with a process: %t", s.Number, s.Life, s.Process != nil)
		}
		slots[s.Number] = true
	}
	if err := errors.Join(u.Accept.Check(slots), u.Transports.Check(), u.checkOwn()); err != nil {
		return fmt.Errorf("upgrade state: %w", err)
	}
	if u.Generation < 1 || u.Target < 1 {
		return fmt.Errorf("upgrade state: generation %d, %d workers wanted", u.Generation, u.Target)
	}
	return nil
}

// descriptors returns all that the next program is to have, but the memfd of the state itself.
func (u *upgradeState) descriptors() []int {
	fds := append([]int{u.OldProgram}, u.Clients...)
	fds = append(fds, u.boards()...)
	if u.Control >= 0 {
		fds = append(fds, u.Control)
	}
	if u.Admin > 0 {
		fds = append(fds, u.Admin)
	}
	if u.Credentials > 0 {
		fds = append(fds, u.Credentials)
	}
	if u.AccessLog > 0 {
		fds = append(fds, u.AccessLog)
	}
	if u.EventsMemory > 0 {
		fds = append(fds, u.EventsMemory)
	}
	if u.Worker != nil {
		fds = append(fds, u.Worker.Descriptors()...)
	}
	for _, l := range u.Listeners {
		fds = append(append(fds, l.FD), l.More...)
	}
	for _, s := range u.Slots {
		if p := s.Process; p != nil {
			fds = append(fds, p.Control, p.Stderr)
			if !s.QueueOpen { // else the accept goroutine has them
				fds = append(fds, p.Queue, p.WorkerEnd)
			}
		}
	}
	fds = append(fds, u.Accept.Descriptors()...)
	for _, g := range u.Groups {
		fds = append(fds, g.FD)
	}
	return fds
}

// boards returns the scoreboards' descriptors, each once.
func (u *upgradeState) boards() (fds []int) {
	for _, s := range u.Slots {
		if s.Process != nil && !slices.Contains(fds, s.Board) {
			fds = append(fds, s.Board)
		}
	}
	return fds
}

// open checks that every descriptor is there.
func (u *upgradeState) open() error {
	for _, fd := range u.descriptors() {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return fmt.Errorf("upgrade state: descriptor %d: %w", fd, os.NewSyscallError("fcntl", err))
		}
	}
	return nil
}
