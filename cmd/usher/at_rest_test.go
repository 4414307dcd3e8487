package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
)

// With many idle connections and nothing to do, no process uses the processor,
// nor wakes up to see whether there is anything.
//
// This story is about time, and so it has to let some pass; it does not run
// beside others. A few ticks, of 10 ms, may be the machine's doing: they are a
// failure only at full size. Wakeups are exact, but Go's runtime has bursts of
// its own, such as some sixty small steps in which it gives memory back to the
// kernel, and a busy machine is late to have done with the connecting. So it is
// asked in how many slices of the time a process did not wake up at all: in some
// spell in most of them, or else it polls.
func TestAtRest(t *testing.T) {
	const idle, spells = 1000, 10
	s := serve(t, "--app", "lines")
	var clients []*client
	for range idle {
		c := dial(t, s.address)
		c.ask(t, "hello")
		clients = append(clients, c)
	}
	status := s.until("all are connected", func(status master.Status) bool { return status.Connections.Active == idle })
	all := append(pids(status), s.pid)
	rested := false
	for spell := 0; spell < spells && !rested; spell++ {
		rested = rests(t, all)
	}
	if !rested {
		t.Errorf("never at rest in %d spells", spells)
	}
	sleeps(t, all)
	for _, c := range clients {
		c.leave(t)
	}
	s.stop()
}

// rests reports whether the processes, the master last, were at rest for a spell.
func rests(t *testing.T, pids []int) bool {
	t.Helper()
	const slice = 100 * time.Millisecond
	count := sized(20, 50) // at least two seconds: the master looks each second for a while after work
	mostTicks := sized(3, 0)
	ticks, quiet := 0, make([]int, len(pids))
	before := uses(t, pids)
	for range count {
		<-time.After(slice)
		after := uses(t, pids)
		for i := range pids {
			ticks += after[i].ticks - before[i].ticks
			if after[i].wakeups == before[i].wakeups {
				quiet[i]++
			}
		}
		before = after
	}
	t.Logf("%d ticks in %d times %v, of which without wakeups, in workers and then master: %v", ticks, count, slice, quiet)
	return ticks <= mostTicks && slices.Min(quiet) >= count*7/10
}

// sleeps waits for some seconds in which no process wakes up more than a few
// times: the master looks at its workers less than once in them, and the runtime
// has had its bursts. A process that polls each second never has such a time.
func sleeps(t *testing.T, pids []int) {
	t.Helper()
	window, few := sized(3*time.Second, 5*time.Second), 3
	var most int
	for range 20 {
		before := uses(t, pids)
		<-time.After(window)
		most = 0
		for i, after := range uses(t, pids) {
			most = max(most, after.wakeups-before[i].wakeups)
		}
		if most <= few {
			t.Logf("at most %d wakeups of a process in %v", most, window)
			return
		}
	}
	t.Errorf("some process always wakes up more than %d times in %v, lately %d times", few, window, most)
}

// use is what a process has used since its start.
type use struct {
	ticks   int // of processor time
	wakeups int // times that one of its threads had waited and went on
}

func uses(t *testing.T, pids []int) (all []use) {
	t.Helper()
	for _, pid := range pids {
		stat, err := readStat(pid)
		if err != nil {
			t.Fatal(err)
		}
		wakeups, err := readWakeups(pid)
		if err != nil {
			t.Fatal(fmt.Errorf("wakeups of %d: %w", pid, err))
		}
		all = append(all, use{stat.ticks, wakeups})
	}
	return all
}
