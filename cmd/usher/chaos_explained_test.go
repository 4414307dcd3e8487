package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// An explanation must name a process that had the connection, and died when the
// client says: the story is worth what it does not take for one.
func TestChaosExplains(t *testing.T) {
	t.Parallel()
	peer := netip.MustParseAddrPort("127.0.0.1:1000")
	const sec = time.Second
	did := func(at time.Duration, pid int, what string) deed {
		return deed{at: at, pid: pid, program: programGood, what: what, conn: 7, peer: peer}
	}
	closed := func(at time.Duration, pid int, reason error) deed {
		d := did(at, pid, deedClose)
		d.reason = reason.Error()
		return d
	}
	moved := []deed{did(1*sec, 1, deedOpen), did(2*sec, 1, deedFreeze), did(2*sec, 2, deedArrive), did(2*sec, 2, deedThaw)}
	leaving := []deed{did(1*sec, 1, deedOpen), did(3*sec, 1, deedFreeze)}
	forgot := did(2*sec, 2, deedRefuse)
	forgot.program = programForgets
	failed := failure{name: "long", err: io.EOF, peer: peer, conn: 7, begun: 0, at: 5 * sec, by: 2, answered: 4 * sec}
	with := func(change func(f *failure)) failure {
		f := failed
		change(&f)
		return f
	}
	kills := func(pid int, at time.Duration) map[int]death { return map[int]death{pid: {at, "killed"}} }
	for _, test := range []struct {
		name   string
		deeds  []deed
		seen   evidence
		failed failure
		want   string // empty: unexplained
	}{
		{"its holder was killed", moved, evidence{deaths: kills(2, 5*sec)}, failed, "killed"},
		{"an earlier holder was killed", moved, evidence{deaths: kills(1, 5*sec)}, failed, ""},
		{"its holder was killed later", moved, evidence{deaths: kills(2, 6*sec)}, failed, ""},
		{"its holder was killed long before", moved, evidence{deaths: kills(2, 5*sec-limit-sec)}, failed, ""},
		{"nobody died", moved, evidence{}, failed, ""},
		{"wrong bytes from one who was killed", moved, evidence{deaths: kills(2, 5*sec)},
			with(func(f *failure) { f.err = fmt.Errorf("%w: x", errWrong) }), ""},
		{"no answer from one who was killed", moved, evidence{deaths: kills(2, 5*sec)},
			with(func(f *failure) { f.err = os.ErrDeadlineExceeded }), ""},
		{"leaving one who was killed", leaving, evidence{deaths: kills(1, 4*sec)}, with(func(f *failure) { f.by = 1 }), "killed"},
		{"arriving at one who was killed", leaving, evidence{deaths: kills(3, 4*sec)}, with(func(f *failure) { f.by, f.answered = 1, 2*sec }), "killed"},
		{"one was killed before it left", leaving, evidence{deaths: kills(3, 2*sec)}, with(func(f *failure) { f.by, f.answered = 1, 2*sec }), ""},
		{"one was killed, and then it was answered where it was", leaving, evidence{deaths: kills(3, 3*sec+1)}, with(func(f *failure) { f.by = 1 }), ""},
		{"cut at the drain's deadline", append(moved, closed(5*sec, 2, worker.ErrDrained)), evidence{}, failed, ""},
		{"cut when the master stops", append(moved, closed(5*sec, 2, worker.ErrDrained)), evidence{told: 3 * sec, cut: 4 * sec}, failed, "master"},
		{"cut before the master stops", append(moved, closed(5*sec, 2, worker.ErrDrained)), evidence{told: 3 * sec, cut: 6 * sec}, failed, ""},
		{"a panic when the master stops", append(moved, closed(5*sec, 2, worker.ErrPanic)), evidence{told: 3 * sec, cut: 4 * sec}, failed, ""},
		{"not restored by the broken program", append(moved[:3:3], forgot), evidence{}, failed, "not restored"},
		{"and closed for it", append(moved[:3:3], forgot, closed(2*sec, 2, errForgot)), evidence{}, failed, "not restored"},
		{"not restored by the good one", append(moved[:3:3], did(2*sec, 2, deedRefuse)), evidence{}, failed, ""},
		{"never opened, one of too many", nil, evidence{limited: true}, with(func(f *failure) { f.conn, f.greedy = 0, true }), "refused"},
		{"never opened, one of few", nil, evidence{limited: true}, with(func(f *failure) { f.conn = 0 }), ""},
		{"never opened, and one was killed", nil, evidence{deaths: kills(3, 4*sec)}, with(func(f *failure) { f.conn = 0 }), "killed"},
		{"never accepted, the master stops", nil, evidence{told: 4 * sec}, with(func(f *failure) { f.conn, f.err = 0, unix.ECONNRESET }), "master"},
		{"accepted and closed, the master stops", nil, evidence{told: 4 * sec}, with(func(f *failure) { f.conn = 0 }), ""},
		{"no server", nil, evidence{}, with(func(f *failure) { f.conn, f.peer, f.err = 0, netip.AddrPort{}, unix.ECONNREFUSED }), ""},
		{"opened, and never answered", moved[:1], evidence{deaths: kills(1, 4*sec)}, with(func(f *failure) { f.conn = 0 }), "killed"},
		{"opened by another from that address", moved[:1], evidence{deaths: kills(1, 1*sec)}, with(func(f *failure) { f.conn, f.begun = 0, 2*sec }), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			j := newJournal()
			for _, d := range test.deeds {
				j.add(d)
			}
			test.seen.journal = j
			why, ok := test.seen.explain(test.failed)
			if ok != (test.want != "") || !strings.Contains(why, test.want) {
				t.Errorf("explained: %v, %q; want it to say %q", ok, why, test.want)
			}
		})
	}
}

// What a process does with a connection that is another's is seen.
func TestChaosStrays(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		deeds  string // what and pid
		strays int
	}{
		{"open 1, freeze 1, freeze 1, arrive 2, thaw 2, close 2", 0},
		{"open 1, freeze 1, arrive 1, thaw 1", 0},
		{"open 1, freeze 1, arrive 2, refuse 2, close 2", 0},
		{"open 1, freeze 1, close 1", 0},
		{"open 1, open 2", 1},
		{"open 1, arrive 2", 1},
		{"open 1, freeze 1, arrive 2, close 1", 1},
		{"open 1, freeze 1, arrive 2, thaw 3", 1},
		{"open 1, close 1, close 1", 1},
		{"arrive 2", 1},
	} {
		j := newJournal()
		for text := range strings.SplitSeq(test.deeds, ", ") {
			d := deed{conn: 7}
			if _, err := fmt.Sscan(text, &d.what, &d.pid); err != nil {
				t.Fatal(err)
			}
			j.add(d)
		}
		if strays := j.strays(); len(strays) != test.strays {
			t.Errorf("%s: %d strays %q, want %d", test.deeds, len(strays), strays, test.strays)
		}
	}
}

func TestChaosOddities(t *testing.T) {
	t.Parallel()
	booked := func(change func(a *account)) account {
		var a account
		a.Generation = 2
		a.Connections.Counts = master.Counts{Accepted: 10, Active: 3, Queued: 1, Closed: 4, Refused: 1, Lost: 1}
		a.Workers = []master.WorkerStatus{
			{Slot: 0, PID: 5, Generation: 2, State: "ready", Connections: 3, Movable: 3, Queued: 1},
			{Slot: 1, Generation: 2, State: "gone"},
		}
		change(&a)
		return a
	}
	before := booked(func(a *account) {})
	for _, test := range []struct {
		name   string
		change func(a *account)
		want   string
	}{
		{"in order", func(a *account) {}, ""},
		{"one missing", func(a *account) { a.Connections.Active-- }, "accepted is not"},
		{"one below 0", func(a *account) {
			a.Connections.Closed, a.Connections.Active = 0, 8
			a.Connections.Lost--
			a.Connections.Queued--
		}, "went down"},
		{"wrapped", func(a *account) { a.Connections.Closed, a.Connections.Active = ^uint64(0), 8 }, "more than were accepted"},
		{"cut", func(a *account) { a.Connections.Cut = 1 }, "cut"},
		{"state", func(a *account) { a.Workers[0].State = "moving" }, "no such state"},
		{"pid", func(a *account) { a.Workers[0].PID = 0 }, "a process or none"},
		{"slot", func(a *account) { a.Workers[1].Slot = 0 }, "twice"},
		{"slots", func(a *account) { a.Workers[1].Slot = mostSlots }, "no such slot"},
		{"staying", func(a *account) { a.Workers[0].Staying = -1 }, "below 0"},
	} {
		a := booked(test.change)
		if odd := strings.Join(a.oddities(before), "; "); (odd == "") != (test.want == "") || !strings.Contains(odd, test.want) {
			t.Errorf("%s: %q, want it to say %q", test.name, odd, test.want)
		}
	}
}

// A worker may die of what it did wrong, and one of a broken program by itself;
// but an executable is held, once its generation serves.
func TestChaosJudgesDeaths(t *testing.T) {
	t.Parallel()
	const wrong, later, other = 1, 2, 3
	exits := fmt.Sprintf("exit status %d", exitsStatus)
	for _, test := range []struct {
		name   string
		pid    int
		reason string
		script bool
		ok     bool
	}{
		{"gone wrong", wrong, "signal SIGKILL: counted more connections than it was given", false, true},
		{"nobody did anything", other, "signal SIGKILL", false, false},
		{"broken, while it was tried", other, exits, false, true},
		{"broken, the generation served", later, exits, false, false},
		{"broken, the generation served, and is a script", later, exits, true, true},
		{"gone wrong as nobody is said to have", other, fmt.Sprintf("exit status %d", badStatus), false, false},
	} {
		v := &evidence{journal: newJournal(), deaths: make(map[int]death), liars: make(map[int]bool), later: map[int]bool{later: true}}
		v.journal.add(deed{at: time.Second, pid: wrong, what: deedWrong, conn: 7, reason: chaosLies[0]})
		story := &chaos{script: test.script}
		if ok := story.judgeDeath(v, logged{PID: test.pid, Reason: test.reason}); ok != test.ok {
			t.Errorf("%s: in order: %v, want %v", test.name, ok, test.ok)
		}
		if d := v.deaths[test.pid]; (d.at == time.Second) != (test.pid == wrong) || v.liars[test.pid] != (test.pid == wrong) {
			t.Errorf("%s: connections die of %+v, which lies: %v", test.name, d, v.liars[test.pid])
		}
	}
}
