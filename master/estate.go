package master

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/dispatch"
	"github.com/usher-go/usher/master/internal/fileid"
	"github.com/usher-go/usher/master/internal/listen"
	"golang.org/x/sys/unix"
)

// estate is all that a master hands over to the program that takes its place in
// the same process: see upgrade.go. On the wire it is JSON in a sealed memfd;
// fields that a program does not know are passed over, and what is missing is
// zero. Descriptors are numbers of the process, which survive exec(2).
type upgradeState struct {
	Format      int                 // estateFormat
	Version     string              // of the program that wrote it, as status shows it
	Protocol    int                 // that workers speak which it has started; 0: each says with ready
	Began       int64               // nanoseconds on CLOCK_MONOTONIC: from when on nothing was accepted
	Program     string              // the path by which it was started
	Worker      *child.ProgramState // of the generation that serves; nil: not known
	Carry       []byte              // Config.Carry
	Old         int                 // descriptor: the executable that wrote it, to go back to
	Control     int                 // descriptor, -1: none
	ControlFile fileid.ID           // zero: not known
	Waiting     []int               // descriptors of those who wait for the answer to POST /v1/upgrade
	Deaf        bool                // INT and QUIT are ignored
	Listeners   []listen.State
	Slots       []slotEstate
	Accept      dispatch.State

	Generation int
	Target     int
	Again      bool   // a reload was asked for meanwhile
	LastMove   uint64 // the id of the last order: a late answer to one is not to look like another's

	Groups []child.GroupState // left behind by workers that are gone
}

// estateFormat changes when a program could misunderstand another's estate. What
// was written in format 1 is read too: see upgradeState1.
const estateFormat = 2

type slotEstate struct {
	Number      int
	Generation  int
	Life        life
	Why         string
	UntilIn     time.Duration // until it is to be gone
	HasUntil    bool
	Restarts    int
	Incarnation int
	Ready       ipc.Ready
	Seated      bool // the accept goroutine has its queue
	Killed      string
	Age         time.Duration // since it was ready; negative: it was not yet
	Lease       leaseEstate
	Deaths      int
	Accidents   int
	Alarm       alarmKind // 0: none
	AlarmIn     time.Duration
	Board       int          // descriptor: its worker's scoreboard
	Process     *child.State // nil: none, and no scoreboard
}

type leaseEstate struct {
	Conns uint64
	Age   time.Duration
	RSS   int64
}

// write puts the estate into a sealed memfd, close-on-exec, which the caller owns.
func (e *upgradeState) write() (fd int, err error) {
	text, err := json.Marshal(e)
	if err != nil {
		return -1, err
	}
	return fdpass.Seal("usher-estate", text)
}

// maxStateMemory is the most that is read of a memfd, in bytes: the addresses of a
// million clients are a thirtieth of it.
const maxStateMemory = 1 << 30

// readUpgradeState reads what is in the memfd, which it borrows.
func readUpgradeState(fd int) (*upgradeState, error) {
	text, err := fdpass.ReadSealed(fd, maxStateMemory)
	if err != nil {
		return nil, fmt.Errorf("estate: %w", err)
	}
	return parseUpgradeState(text)
}

// readPerIP reads who counts for the limit of each address, which has a memfd of its
// own. It is left open.
func (e *upgradeState) readPerIP() (err error) {
	if e.Accept.PerIPMemory == 0 {
		return nil
	}
	if e.Accept.PerIP, err = fdpass.ReadSealed(e.Accept.PerIPMemory, maxStateMemory); err != nil {
		return fmt.Errorf("connections of each address: %w", err)
	}
	return nil
}

// parseUpgradeState reads an estate in any format that there has been.
func parseUpgradeState(text []byte) (*upgradeState, error) {
	var head struct{ Format int }
	err := json.Unmarshal(text, &head)
	e := new(upgradeState)
	switch {
	case err != nil:
	case head.Format == estateFormat:
		err = json.Unmarshal(text, e)
	case head.Format == 1:
		e, err = parseUpgradeState1(text)
	default:
		err = fmt.Errorf("of format %d, this program reads 1 to %d", head.Format, estateFormat)
	}
	if err != nil {
		return nil, fmt.Errorf("estate: %w", err)
	}
	return e, e.check()
}

// check refuses what cannot be: a program that misread the estate is not to take over.
func (e *upgradeState) check() error {
	slots := make(map[int]bool)
	for _, s := range e.Slots {
		switch {
		case s.Number < 0 || slots[s.Number]:
			return fmt.Errorf("estate: slot %d, out of place or twice", s.Number)
		case s.Life < lifeGone || s.Life >= lifeRemoved:
			return fmt.Errorf("estate: slot %d with life %d", s.Number, s.Life)
		case (s.Process == nil) != (s.Life == lifeGone):
			return fmt.Errorf("estate: slot %d is %s, with a process: %t", s.Number, s.Life, s.Process != nil)
		}
		slots[s.Number] = true
	}
	if err := e.Accept.Check(slots); err != nil {
		return fmt.Errorf("estate: %w", err)
	}
	if e.Generation < 1 || e.Target < 1 {
		return fmt.Errorf("estate: generation %d, %d workers wanted", e.Generation, e.Target)
	}
	return nil
}

// descriptors returns all that the next program is to have, but the estate's own.
func (e *upgradeState) descriptors() []int {
	fds := append([]int{e.Old}, e.Waiting...)
	fds = append(fds, e.boards()...)
	if e.Control >= 0 {
		fds = append(fds, e.Control)
	}
	if e.Worker != nil {
		fds = append(fds, e.Worker.Descriptors()...)
	}
	for _, l := range e.Listeners {
		fds = append(append(fds, l.FD), l.More...)
	}
	for _, s := range e.Slots {
		if p := s.Process; p != nil {
			fds = append(fds, p.Control, p.Stderr)
			if !s.Seated { // else the seat has them
				fds = append(fds, p.Queue, p.WorkerEnd)
			}
		}
	}
	fds = append(fds, e.Accept.Descriptors()...)
	for _, g := range e.Groups {
		fds = append(fds, g.FD)
	}
	return fds
}

// boards returns the scoreboards' descriptors, each once.
func (e *upgradeState) boards() (fds []int) {
	for _, s := range e.Slots {
		if s.Process != nil && !slices.Contains(fds, s.Board) {
			fds = append(fds, s.Board)
		}
	}
	return fds
}

// open checks that every descriptor is there.
func (e *upgradeState) open() error {
	for _, fd := range e.descriptors() {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return fmt.Errorf("estate: descriptor %d: %w", fd, os.NewSyscallError("fcntl", err))
		}
	}
	return nil
}

// since is how long ago the time was; negative for the zero time.
func since(t time.Time) time.Duration {
	if t.IsZero() {
		return -1
	}
	return max(0, time.Since(t))
}

// ago is the reverse of since.
func ago(d time.Duration) time.Time {
	if d < 0 {
		return time.Time{}
	}
	return time.Now().Add(-d)
}

func (l recycleLimits) estate() leaseEstate { return leaseEstate{l.conns, l.age, l.rss} }
func (l leaseEstate) limits() recycleLimits { return recycleLimits{l.Conns, l.Age, l.RSS} }

// estate describes a slot whose link is paused.
func (s *slot) estate() slotEstate {
	e := slotEstate{
		Number: s.number, Generation: s.generation, Life: s.life, Why: s.why, HasUntil: !s.until.IsZero(),
		Restarts: s.restarts, Incarnation: s.incarnation, Ready: s.ready, Killed: s.killed,
		Age: since(s.readyAt), Lease: s.recycleAt.estate(), Deaths: s.deaths, Accidents: s.accidents, Board: -1,
	}
	if e.HasUntil {
		e.UntilIn = time.Until(s.until)
	}
	if s.alarm != nil {
		e.Alarm, e.AlarmIn = s.alarm.kind, max(0, time.Until(s.alarm.due))
	}
	if s.process != nil {
		process := s.process.State()
		e.Process, e.Seated, e.Board = &process, s.queueOpen, s.board.FD()
	}
	return e
}

// slot is the reverse, but for the process, its scoreboard and the alarm. Each is
// of the configuration in force: an older one mattered when its worker started.
func (e *slotEstate) slot(config *Config) *slot {
	s := &slot{
		number: e.Number, generation: e.Generation, config: config, life: e.Life, why: e.Why,
		restarts: e.Restarts, incarnation: e.Incarnation, ready: e.Ready, killed: e.Killed,
		readyAt: ago(e.Age), recycleAt: e.Lease.limits(), deaths: e.Deaths, accidents: e.Accidents,
	}
	if e.HasUntil {
		s.until = time.Now().Add(e.UntilIn)
	}
	return s
}
