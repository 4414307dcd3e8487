package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// tellLie writes the largest number there is into a row of a worker's entry, or into
// each that is not for bookkeeping: all of them, or all but cut, for a story that
// looks whether any was.
func tellLie(entry *ipc.Entry, lie string) {
	for _, row := range ipc.Rows() {
		all := lie == "all" || lie == "all but cut" && row.Name != "cut"
		if row.Name == lie || all && row.Kind != ipc.KindBookkeeping {
			entry.Store(row, 1<<64-1)
		}
	}
}

// ownEntry returns this worker's part of the scoreboard.
func ownEntry() *ipc.Entry {
	board, err := ipc.OpenScoreboard(ipc.ScoreboardFD)
	if err != nil {
		panic(err) // nothing could be told of this worker
	}
	var slot int
	_, _ = fmt.Sscan(os.Getenv("USHER_SLOT"), &slot) // the master has set it
	return board.Entry(slot)
}

func init() {
	// The arguments: the lie, and a folder to be made. Whoever makes it lies.
	helpers["worker-lying"] = func() {
		onlyOne(os.Args[3], func() { os.Exit(run([]string{"worker", "lines"})) })
		entry := ownEntry()
		entry.Sequence.Store(2)
		tellLie(entry, os.Args[2])
		sayOnControl(`{"type":"ready","protocol":1,"closes":true,"moves":true}`)
		helpers["worker-mute"]()
	}
}

// A worker that writes nonsense into its counters harms nobody else: it is replaced
// if they cannot be true, gets no more clients than its share before, and the totals
// are what they were.
func TestLyingWorkers(t *testing.T) {
	t.Parallel()
	lies := []string{"all"}
	for _, row := range ipc.Rows() {
		lies = append(lies, row.Name)
	}
	for _, lie := range lies {
		t.Run(lie, func(t *testing.T) {
			t.Parallel()
			once := filepath.Join(t.TempDir(), "done")
			if err := os.Mkdir(once, 0o755); err != nil { // good ones, to begin with
				t.Fatal(err)
			}
			s := serve(t, "--workers", "2", "--max-conns", "100", "--", self(), "worker-lying", lie, once)
			if err := os.Remove(once); err != nil {
				t.Fatal(err)
			}
			s.signal(unix.SIGUSR1)
			if lie == "closed" || lie == "received" || lie == "all" { // the others can be true, or are bounded
				s.log.await(t, 1, "killing a worker", "slot=2", "counted more connections than it was given")
			} else {
				kill(t, s.until("ready", ready(3)).Workers[2].PID, unix.SIGKILL)
			}
			s.until("it is replaced", func(status master.Status) bool {
				return ready(3)(status) && status.Workers[2].Restarts == 1
			})
			for range 10 {
				if err := shortVisit(s.address); err != nil {
					t.Error(err)
				}
			}
			s.counts(master.Counts{Accepted: 10, Closed: 10})
			s.workers, s.masterFDs = 3, s.descriptors()
			s.stop()
		})
	}
}
