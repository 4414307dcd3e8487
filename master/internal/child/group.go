package child

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// A child is the leader of a process group, and the processes that it leaves behind in
// that group end with it. Those that have left the group are let alone.
//
// The group gets SIGTERM while the child is a zombie, since until it is reaped nobody
// else can have its number; and SIGKILL after groupGrace, by its pidfd, which means that group even when the
// number is another's by then (pidfd_send_signal(2), Linux 6.9). On older kernels there
// is no safe way to do that, and SIGTERM is all that the group gets.

// groupGrace is how long a group may take to end after SIGTERM.
const groupGrace = 5 * time.Second

// group is a process group whose leader is reaped.
type group struct {
	pid   int // the leader's
	pidfd int // owned
	due   time.Time
	timer *time.Timer
}

// GroupState is a process group that a child has left behind, as an upgrade in place
// hands it over, in JSON.
type GroupState struct {
	PID    int
	FD     int // descriptor: the leader's pidfd
	KillIn time.Duration
}

// terminate sends SIGTERM to the group of a child that is a zombie. It returns an owned
// pidfd of the child, for endGroup, or -1.
func terminate(pid int) (pidfd int) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		pidfd = -1 // out of descriptors
	}
	_ = unix.Kill(-pid, unix.SIGTERM) // there may be nobody
	return pidfd
}

// endGroup has what is left of a child's group killed later, if there is anything. The
// child is reaped now. It takes ownership of pidfd. With mu held.
func (r *Reaper) endGroup(pid, pidfd int) {
	if pidfd < 0 {
		return
	}
	g := &group{pid: pid, pidfd: pidfd}
	if !g.alive() {
		g.close()
		return
	}
	r.log.Info("ending what a worker left in its process group", "pid", pid, "limit", groupGrace)
	r.watchGroup(g, groupGrace)
}

// watchGroup has a group killed after d, and owns it until then. With mu held.
func (r *Reaper) watchGroup(g *group, d time.Duration) {
	g.due = time.Now().Add(d)
	g.timer = time.AfterFunc(d, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.groups[g.pidfd] == g {
			r.killGroup(g)
		}
	})
	r.groups[g.pidfd] = g
}

// killGroup kills what is left of a group, and forgets it. With mu held.
func (r *Reaper) killGroup(g *group) {
	if g.signal(unix.SIGKILL) == nil {
		r.log.Warn("killed what a worker left in its process group", "pid", g.pid)
	}
	delete(r.groups, g.pidfd)
	g.close()
}

// EndGroups returns when nothing is left of any group: for a master that ends. With
// now they are killed at once, else when their time has come.
func (r *Reaper) EndGroups(now bool) {
	for {
		r.mu.Lock()
		for _, g := range r.groups {
			switch {
			case !g.alive():
				delete(r.groups, g.pidfd)
				g.close()
			case now:
				r.killGroup(g)
			}
		}
		left := len(r.groups)
		r.mu.Unlock()
		if left == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond) // nothing tells of the end of another's child; the timers end this
	}
}

func (g *group) signal(sig unix.Signal) error {
	return unix.PidfdSendSignal(g.pidfd, sig, nil, unix.PIDFD_SIGNAL_PROCESS_GROUP)
}

// alive reports whether there is anyone in the group; on a kernel that cannot tell, no.
func (g *group) alive() bool {
	err := g.signal(0)
	return err == nil || errors.Is(err, unix.EPERM)
}

func (g *group) close() {
	if g.timer != nil {
		g.timer.Stop()
	}
	_ = unix.Close(g.pidfd) // a pidfd has nothing to flush
}

// HeldGroups describes the groups during a hold. The descriptors stay the reaper's.
func (r *Reaper) HeldGroups() (states []GroupState) {
	for _, g := range r.groups {
		states = append(states, GroupState{g.pid, g.pidfd, max(0, time.Until(g.due))})
	}
	return states
}

// RestoreGroups takes over what HeldGroups described.
func (r *Reaper) RestoreGroups(states []GroupState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range states {
		r.watchGroup(&group{pid: s.PID, pidfd: s.FD}, s.KillIn)
	}
}
