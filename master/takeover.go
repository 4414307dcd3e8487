package master

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/logfile"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/dispatch"
	"github.com/usher-go/usher/master/internal/listen"
	"golang.org/x/sys/unix"
)

// This file is the other half of an upgrade in place: what the new program does
// with the upgrade state of the old one.

// Carried returns what Config.Carry was in the program that this one takes over
// from by an upgrade in place, and false if it takes over from none. It is for
// the beginning of main, before Run.
func Carried() (carry []byte, ok bool) {
	for _, name := range []string{upgradeVariable, upgradeCarryVariable} {
		if memory, ok := descriptorVariable(name); ok {
			if state, err := readUpgradeState(memory); err == nil { // else Run says so
				return state.Carry, true
			}
		}
	}
	return nil, false
}

// TurnBack is for a program that takes over by an upgrade in place and finds,
// before Run, that it cannot: it becomes the old program again, which goes on
// and reports why. Otherwise, and if that fails, it returns.
func TurnBack(why error) {
	if memory, ok := descriptorVariable(upgradeVariable); ok {
		if state, err := readUpgradeState(memory); err == nil {
			_ = turnBack(state, memory, why, missingBefore()) // it returned: there is no way back
		}
	}
}

// turnBack makes this process the old program again, which then logs that so many lines
// of the log are missing. It returns only with an error.
func turnBack(state *upgradeState, memory int, why error, missing int) error {
	if os.Getenv(upgradeErrorVariable) != "" {
		return fmt.Errorf("there is no way back: %w", why) // this is the old one
	}
	err := execute("/proc/self/fd/"+strconv.Itoa(state.OldProgram), append(state.descriptors(), memory),
		upgradeVariable+"="+strconv.Itoa(memory), upgradeErrorVariable+"="+why.Error(), missingVariable(missing))
	return errors.Join(why, err)
}

// fits returns why this program cannot take over with the configuration, or nil.
func (u *upgradeState) fits(config *Config) error {
	if len(u.Slots) > maxSlots(config) {
		return fmt.Errorf("%d slots are more than max-workers, which is %d, allows", len(u.Slots), config.MaxWorkers)
	}
	for _, s := range u.Slots {
		protocol := s.Ready.Protocol
		if protocol == 0 { // it is not ready yet
			protocol = u.Protocol
		}
		if s.Process != nil && protocol != 0 && protocol != ipc.Version {
			return fmt.Errorf("slot %d (pid %d) speaks protocol version %d, this program speaks %d, and would cut its connections: restart the server for that",
				s.Number, s.Process.PID, protocol, ipc.Version)
		}
	}
	for _, l := range u.Listeners {
		if len(l.Name) > ipc.MaxNameInBatch {
			return fmt.Errorf("listener %s has a name of %d bytes, at most %d; rename it by a reload first", l.Address, len(l.Name), ipc.MaxNameInBatch)
		}
	}
	if (u.Control >= 0) != (config.Control != "") {
		return errors.New("one program has a control socket, the other has not")
	}
	if (u.Admin > 0) != (config.Admin != "") {
		return errors.New("one program has an admin address, the other has not")
	}
	return nil
}

// loadTLS reads the files that the configuration names, if the program before had no
// credentials in force: there is no more to be read than at a start.
func (u *upgradeState) loadTLS(config *Config) error {
	if u.Credentials > 0 {
		return nil
	}
	return config.loadTLS(time.Now())
}

// takeAccessLog has the configuration have the access log of the program before, so that no
// worker goes on with a file that was renamed while others have a new one. If that had none,
// or one of another name, it is opened as at a start.
func (u *upgradeState) takeAccessLog(config *Config) error {
	var before *accessLog
	if u.AccessLog > 0 {
		file, err := logfile.Duplicate(u.AccessLog, u.AccessLogPath) // the way back needs that one
		if err != nil {
			return err
		}
		before = &accessLog{u.AccessLogPath, u.AccessLogFormat, file}
	}
	err := config.openAccessLog(before)
	if config.access != before {
		before.close()
	}
	return err
}

// takeOver builds the actors from the state of the old program, to go on where that
// stopped. Up to the commit nothing is changed: an error, or a panic, leads back to the old
// program.
func takeOver(config *Config, limit int) (a *actors, err error) {
	memory, _ := descriptorVariable(upgradeVariable)
	state, err := readUpgradeState(memory)
	if err != nil {
		return nil, err // nothing can be known; the test has read it
	}
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("panic: %v", value)
		}
		if err != nil {
			err = turnBack(state, memory, err, missingBefore()+config.LogWriter.handOver())
		}
	}()
	if err := errors.Join(state.fits(config), state.open(), state.readPerIP(), state.readEvents()); err != nil {
		return nil, err
	}
	if err := state.loadTLS(config); err != nil {
		return nil, err
	}
	if err := state.takeAccessLog(config); err != nil {
		return nil, err
	}
	boards, err := openBoards(state)
	if err != nil {
		return nil, err
	}
	a, err = newActors(config, listen.Restore(state.Listeners), state.Transports, limit)
	if err != nil {
		return nil, err
	}
	if state.Credentials > 0 {
		if err := a.super.secrets.restore(config, state.Credentials); err != nil {
			return nil, err
		}
	}
	if state.Worker == nil { // the program before did not say, or did not find it
		worker, err := openProgram(config)
		if err != nil {
			return nil, err
		}
		a.super.setProgram(state.Generation, worker)
	}
	if err := a.accept.Inherit(&state.Accept, memoriesOf(state, boards)); err != nil {
		return nil, err
	}
	if config.Control != "" {
		a.control = restoreControl(config, state.Control, listen.RestoreSocketFile(config.Control, state.ControlFile), a.super)
	}
	if config.Admin != "" {
		a.admin = restoreAdmin(config, state.Admin, a.super)
	}
	a.commit(state, memory, boards)
	return a, nil
}

// openBoards maps the scoreboard of each slot that has a worker, by a duplicate of its
// descriptor. An older program may have had one for all slots, which is mapped for each.
func openBoards(state *upgradeState) (map[int]*ipc.Scoreboard, error) {
	boards := make(map[int]*ipc.Scoreboard)
	for _, s := range state.Slots {
		if s.Process == nil {
			continue
		}
		fd, err := unix.FcntlInt(uintptr(s.Board), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, os.NewSyscallError("fcntl", err)
		}
		board, err := ipc.OpenScoreboard(fd)
		if err != nil {
			return nil, err
		}
		if s.Number >= board.Len() {
			return nil, fmt.Errorf("slot %d has no entry in its scoreboard, which has %d", s.Number, board.Len())
		}
		_, err = board.Further(s.Further)
		if _, own := board.Numbers(s.Own.Place); err != nil || own != nil {
			return nil, errors.Join(err, own)
		}
		boards[s.Number] = board
	}
	return boards, nil
}

// memoriesOf returns what is each slot's worker's in its board.
func memoriesOf(state *upgradeState, boards map[int]*ipc.Scoreboard) map[int]dispatch.Memory {
	memories := make(map[int]dispatch.Memory, len(boards))
	for _, s := range state.Slots {
		if board := boards[s.Number]; board != nil {
			memories[s.Number] = memoryIn(board, s.Number, s.Further)
		}
	}
	return memories
}

// commit is the point of no return. Nothing in it can fail.
func (a *actors) commit(state *upgradeState, memory int, boards map[int]*ipc.Scoreboard) {
	failure := os.Getenv(upgradeErrorVariable)
	a.super.config.LogWriter.restore(missingBefore())
	for _, name := range []string{upgradeVariable, upgradeErrorVariable, upgradeLogVariable} {
		_ = os.Unsetenv(name) // it fails only for a name that is no name
	}
	_ = setInheritable(state.descriptors(), false) // they are open
	_ = unix.Close(memory)                         // it was read
	_ = unix.Close(state.OldProgram)               // this program's own file is open too
	fdpass.CloseAll(state.boards())                // they are mapped, by duplicates
	if state.Accept.PerIPMemory > 0 {
		_ = unix.Close(state.Accept.PerIPMemory) // it was read, too
	}
	if state.EventsMemory > 0 {
		_ = unix.Close(state.EventsMemory) // likewise
	}
	if state.AccessLog > 0 {
		_ = unix.Close(state.AccessLog) // there is a duplicate
	}
	a.program = state.Program
	if state.Worker != nil {
		a.super.setProgram(state.Generation, state.Worker.Restore(a.super.config.ProgramGiven))
	}
	a.signals = restoreSignals(state.IgnoresInterrupts)
	a.super.events.restore(state.LastEvent, state.Events)
	a.super.restore(state, boards)
	a.reap.RestoreGroups(state.Groups)
	elapsed := (ipc.NewClock().Now() - time.Duration(state.Began)).Round(time.Microsecond)
	var err error
	if failure != "" {
		err = errors.New(failure)
		a.super.log.Error("upgrade failed, the old program goes on", "error", err, "elapsed", elapsed)
	} else {
		a.super.log.Info("upgraded", "version", a.super.config.Version, "from", state.Version, "elapsed", elapsed)
	}
	for _, client := range state.Clients {
		answerUpgrade(client, a.super.config.Version, err)
	}
}

// restore takes over the slots, before run. It takes ownership of the scoreboards.
func (s *supervisor) restore(state *upgradeState, boards map[int]*ipc.Scoreboard) {
	s.generation, s.target, s.again, s.booted = state.Generation, state.Target, state.Again, true
	s.lastMove, s.access.last, s.lastReload, s.reloads = state.LastMove, state.LastAccess, state.LastReload, state.Reloads
	s.own.restore(state.Own)
	s.levels.workers = state.WorkersLogLevel
	if level := hclog.LevelFromString(state.LogLevel); level != hclog.NoLevel {
		s.setLevel(level)
	}
	s.started, s.restartsBy, s.workersCPU = startedAt(state.Started), state.Restarts, state.WorkersCPU
	s.shownCPU.atLeast(state.ShownCPU)
	for i := range state.Slots {
		from := &state.Slots[i]
		slot := from.slot(s.config)
		s.slots.put(slot)
		if h := from.Process; h != nil {
			slot.board, slot.further = boards[from.Number], from.Further
			s.own.adopt(&slot.own, &from.Own)
			slot.process, slot.queueOpen = s.processes.restore(slot.id(), *h), from.QueueOpen
		}
		if from.Alarm != 0 {
			s.setAlarm(slot, from.Alarm, from.AlarmIn)
		}
	}
}
