package master

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/master/internal/dispatch"
	"github.com/usher-go/usher/master/internal/listen"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "rewrite the golden files under testdata")

// madeOf says in words what the supervisor and the accept goroutine make of an
// upgrade state. It is all that this file knows of what they keep.
func madeOf(e *upgradeState) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("generation %d, %d workers wanted, reload asked for: %t", e.Generation, e.Target, e.Again)
	line("of %s %s, carrying %q", filepath.Base(e.Program), e.Version, e.Carry)
	for i, l := range listen.Restore(e.Listeners) {
		line("listener %q, asked for as %+v, at %s (%v), socket %d and %v, its file: %t",
			l.Name, l.From, l.Address, l.Bound, l.FD, l.More, e.Listeners[i].HasFile) // of l: only if it is there now
	}
	for i := range e.Slots {
		line("slot %s", slotMadeOf(&e.Slots[i]))
	}
	a := &e.Accept
	for i := range a.Queues {
		q := a.Queues[i]
		line("seat of slot %d, worker %d of generation %d: %s, serial %d, sent %d, drained %d, back %d, moved in %d, reported %d; room for %d, closes %t, moves %t, landing %t, broken %t, stuck %t, queue %d %d",
			q.Slot, q.Worker, q.Generation, [...]string{dispatch.QueueOpen: "open", dispatch.QueueClosed: "retired", dispatch.QueueReaped: "dead"}[q.Phase],
			q.Serial, q.Sent, q.Drained, q.Back, q.MovedIn, q.Reported,
			q.Capacity, q.Closes, q.Moves, q.Landing, q.Broken, q.Stuck, q.Queue, q.WorkerEnd)
	}
	residents := slices.Clone(a.PerIPEntries)
	slices.SortFunc(residents, func(a, b dispatch.PerIPState) int { return cmp.Compare(a.ID, b.ID) })
	for _, r := range residents {
		line("connection %d from %v, in the seat with serial %d", r.ID, r.Prefix, r.Queue)
	}
	line("last connection %d, last serial %d", a.LastID, a.Serial)
	line("accepted %d, closed %d, refused %d, moved %d, lost %d", a.Totals.Accepted, a.Totals.Closed, a.Totals.Refused, a.Totals.Moved, a.Totals.Lost)
	fds := e.descriptors()
	slices.Sort(fds)
	line("control %d, clients that wait %v, all descriptors %v", e.Control, e.Clients, fds)
	return b.String()
}

func slotMadeOf(e *slotState) string {
	s := e.slot(&Config{})
	words := []string{fmt.Sprintf("%d: %s, which is %s, generation %d, incarnation %d, restarts %d, young deaths %d",
		s.number, s.life, s.life.state(), s.generation, s.incarnation, s.restarts, s.deaths)}
	say := func(is bool, what string) {
		if is {
			words = append(words, what)
		}
	}
	say(!s.readyAt.IsZero(), "was ready")
	say(s.ready.Moves, "can move connections")
	say(s.ready.Closes, "says what it closes")
	say(e.QueueOpen, "has a seat")
	say(s.why != "", "leaves: "+s.why)
	say(e.HasUntil, fmt.Sprintf("until %v from then on", e.UntilIn.Round(time.Millisecond)))
	say(e.Process != nil, fmt.Sprintf("scoreboard %d", e.Board))
	say(s.killed != "", "ended by the master: "+s.killed)
	if s.recycleAt != (recycleLimits{}) {
		say(true, fmt.Sprintf("leaves after %d connections, %v, %d bytes", s.recycleAt.conns, s.recycleAt.age, s.recycleAt.rss))
	}
	alarms := map[alarmKind]string{
		alarmBoot: "is to be ready", alarmRespawn: "starts again", alarmDrained: "is to be gone",
		alarmEnded: "is to have exited", alarmAborted: "is to be dead",
	}
	say(e.Alarm != 0, fmt.Sprintf("%s within %v", alarms[e.Alarm], e.AlarmIn.Round(time.Millisecond)))
	if h := e.Process; h != nil {
		say(true, fmt.Sprintf("pid %d, queue %d %d, control %d, stderr %d, its last words %q", h.PID, h.Queue, h.WorkerEnd, h.Control, h.Stderr, h.Lines))
	}
	return strings.Join(words, "; ")
}

// What a program of format 1 hands over is read by every later one, and nothing
// of it is lost. testdata/upgrade/README.md says in which situations each was
// written.
func TestUpgradeStateOfFormat1(t *testing.T) {
	paths, err := filepath.Glob("../testdata/upgrade/format1-*.json")
	if err != nil || len(paths) == 0 {
		t.Fatal("there are none: ", err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			memory := handedOver(t, text)
			defer unix.Close(memory)
			e, err := readUpgradeState(memory)
			if err != nil {
				t.Fatal(err)
			}
			got := madeOf(e)
			golden := strings.TrimSuffix(path, ".json") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("made of it:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// handedOver is memory as a program of format 1 hands it over, which the caller owns.
func handedOver(t *testing.T, text []byte) int {
	t.Helper()
	fd, err := unix.MemfdCreate("usher-upgrade", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	n, err := unix.Write(fd, text)
	if err != nil || n != len(text) {
		t.Fatalf("%d of %d bytes written: %v", n, len(text), err)
	}
	const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		t.Fatal(err)
	}
	return fd
}
