package master

import (
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/child"
)

// slotState is a slot in an upgradeState, under the same rules.
type slotState struct {
	Number      int
	Generation  int
	Life        life
	Why         string
	UntilIn     time.Duration // until it is to be gone
	HasUntil    bool
	Restarts    int
	Incarnation int
	Ready       ipc.Ready
	QueueOpen   bool `json:"Seated"` // the accept goroutine has its queue
	Killed      string
	Age         time.Duration // since it was ready; negative: it was not yet
	RecycleAt   recycleState  `json:"Lease"`
	KeysDue     bool
	AccessDue   bool
	AccessAsked uint64
	LastExit    string
	Deaths      int
	Accidents   int
	Alarm       alarmKind // 0: none
	AlarmIn     time.Duration
	Board       int       // descriptor: its worker's scoreboard
	Further     ipc.Place // in it: see slot; zero: an older program wrote this, or made the board
	Own         ownState
	Process     *child.State // nil: none, and no scoreboard
}

// recycleState is when a worker is to be recycled: see recycleLimits.
type recycleState struct {
	Conns uint64
	Age   time.Duration
	RSS   int64
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

func (l recycleLimits) state() recycleState  { return recycleState{l.conns, l.age, l.rss} }
func (l recycleState) limits() recycleLimits { return recycleLimits{l.Conns, l.Age, l.RSS} }

// state describes a slot whose process is paused.
func (s *slot) state() slotState {
	state := slotState{
		Number: s.number, Generation: s.generation, Life: s.life, Why: s.why, HasUntil: !s.until.IsZero(),
		Restarts: s.restarts, Incarnation: s.incarnation, Ready: s.ready, Killed: s.killed,
		Age: since(s.readyAt), RecycleAt: s.recycleAt.state(), KeysDue: s.keysDue, AccessDue: s.accessDue, AccessAsked: s.accessAsked, LastExit: s.lastExit, Deaths: s.deaths, Accidents: s.accidents, Board: -1,
	}
	if state.HasUntil {
		state.UntilIn = time.Until(s.until)
	}
	if s.alarm != nil {
		state.Alarm, state.AlarmIn = s.alarm.kind, max(0, time.Until(s.alarm.due))
	}
	if s.process != nil {
		process := s.process.State()
		state.Process, state.QueueOpen, state.Board, state.Further = &process, s.queueOpen, s.board.FD(), s.further
		state.Own = s.own.state()
	}
	return state
}

// slot is the reverse, but for the process, its scoreboard and the alarm. A slot of an
// older generation gets the configuration in force, too: its own mattered when its worker
// started.
func (state *slotState) slot(config *Config) *slot {
	s := &slot{
		number: state.Number, generation: state.Generation, config: config, life: state.Life, why: state.Why,
		restarts: state.Restarts, incarnation: state.Incarnation, ready: state.Ready, killed: state.Killed,
		readyAt: ago(state.Age), recycleAt: state.RecycleAt.limits(), keysDue: state.KeysDue, accessDue: state.AccessDue, accessAsked: state.AccessAsked, lastExit: state.LastExit, deaths: state.Deaths, accidents: state.Accidents,
	}
	if state.HasUntil {
		s.until = time.Now().Add(state.UntilIn)
	}
	return s
}
