package main

import (
	"fmt"
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
// kernel. So it is asked in how many slices of the time a process did not wake
// up at all: most of them, or else it polls.
func TestAtRest(t *testing.T) {
	const idle, slice = 1000, 100 * time.Millisecond
	slices := sized(20, 50) // at least two seconds: the master looks each second for a while after work
	mostTicks := sized(3, 0)
	s := serve(t, "--app", "lines")
	var clients []*client
	for range idle {
		c := dial(t, s.address)
		c.ask(t, "hello")
		clients = append(clients, c)
	}
	status := s.until("all are connected", func(status master.Status) bool { return status.Connections.Active == idle })
	all := append(pids(status), s.pid)

	ticks, wakeups, quiet := make([]int, len(all)), make([]int, len(all)), make([]int, len(all))
	before := uses(t, all)
	for range slices {
		<-time.After(slice)
		after := uses(t, all)
		for i := range all {
			ticks[i] += after[i].ticks - before[i].ticks
			woke := after[i].wakeups - before[i].wakeups
			wakeups[i] += woke
			if woke == 0 {
				quiet[i]++
			}
		}
		before = after
	}

	t.Logf("%d idle connections, %d times %v, workers and then master: ticks %v, wakeups %v, without wakeups %v",
		idle, slices, slice, ticks, wakeups, quiet)
	total := 0
	for i, pid := range all {
		total += ticks[i]
		if quiet[i] < slices*7/10 {
			t.Errorf("process %d woke up in %d of %d slices", pid, slices-quiet[i], slices)
		}
	}
	if total > mostTicks {
		t.Errorf("%d ticks used, want at most %d", total, mostTicks)
	}
	sleeps(t, all)
	for _, c := range clients {
		c.leave(t)
	}
	s.stop()
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
