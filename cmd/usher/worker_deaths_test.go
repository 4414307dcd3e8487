package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

func init() {
	// worker-panicking is lines, but at SIGWINCH it panics: in a goroutine, where
	// no callback's recovery is.
	helpers["worker-panicking"] = func() {
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, unix.SIGWINCH)
		go func() {
			<-asked
			panic(expectedPanic)
		}()
		worker.Main(lines{})
	}
}

// Workers die in every way, at random moments under load: those connections
// fail that a dead worker had received, and no others. A slot whose workers die
// again and again waits longer and longer, and in the end nothing is left behind.
func TestWorkerDeaths(t *testing.T) {
	deaths := sized(10, 100)
	// Enough that no slot gets to the long pauses: seven deaths in a row are six
	// seconds of pauses, ten would be half a minute.
	workers := sized(4, 16)
	ways := []struct {
		signal unix.Signal
		reason string // of the death, in the log
		died   int
	}{
		{signal: unix.SIGKILL, reason: "signal SIGKILL"},
		{signal: unix.SIGSEGV, reason: "exit status 2"}, // Go's runtime says where, and exits
		{signal: unix.SIGWINCH, reason: "exit status 2"},
	}
	s := serve(t, "--workers", strconv.Itoa(workers), "--", self(), "worker-panicking")
	l := startLoad(s.address, 5*time.Millisecond) // 200 per second
	t.Cleanup(func() { l.stop() })                // if the story did not
	rss := resident(t, s.pid)
	for n := range deaths {
		if n == deaths/5 {
			rss = resident(t, s.pid) // it has done everything once
		}
		<-time.After(rand.N(50 * time.Millisecond)) // the random moment
		way := &ways[n%len(ways)]
		pid := strconv.Itoa(killLeastKilled(t, s, l, way.signal))
		s.log.await(t, 1, "worker died", "pid="+pid+" ", `reason="`+way.reason+`"`)
		way.died++
	}
	s.until("all workers are ready again", ready(workers))
	failures := l.stop()

	s.atRest()
	status, err := s.status()
	if err != nil {
		t.Fatal(err)
	}
	counts, restarts := status.Connections, 0
	for _, w := range status.Workers {
		restarts += w.Restarts
	}
	later := len(s.log.with("worker restarts later"))
	t.Logf("%d deaths (SIGKILL %d, SIGSEGV %d, panics %d), %d pauses before a restart: %d connections, "+
		"%d failed with their worker, %d others; %+v; the master's memory was %d KiB and is %d",
		deaths, ways[0].died, ways[1].died, ways[2].died, later, l.arrived.Load(),
		counts.Lost, len(failures)-int(counts.Lost), counts, rss>>10, resident(t, s.pid)>>10)
	if counts.Lost != uint64(len(failures)) || counts.Accepted != l.arrived.Load() || counts.Refused != 0 {
		t.Errorf("%+v; want %d accepted, none refused, and lost those that failed, %d:\n%s",
			counts, l.arrived.Load(), len(failures), strings.Join(failures, "\n"))
	}
	if len(failures) < deaths {
		t.Errorf("%d connections failed in %d deaths: the workers had nothing to lose", len(failures), deaths)
	}
	if restarts != deaths {
		t.Errorf("%d restarts after %d deaths", restarts, deaths)
	}
	// The first death of each slot is followed at once, unless the one before is
	// long ago: no slot has had its ten healthy seconds by the time of the last.
	if later < deaths-2*workers || later == 0 {
		t.Errorf("%d pauses after %d deaths of %d slots", later, deaths, workers)
	}
	if said := len(s.log.with("panic: " + expectedPanic)); said < ways[2].died {
		t.Errorf("the log has %d of %d panics", said, ways[2].died)
	}
	// A race detector, Go's collector and the log's lines come and go; a leak for
	// each connection or death would be no matter of megabytes only at full size.
	if now := resident(t, s.pid); now > 2*rss+32<<20 {
		t.Errorf("the master has %d bytes of memory, had %d", now, rss)
	}
	s.stop()
}

// killLeastKilled has that ready worker with connections die whose slot has
// seen the fewest deaths, and returns its pid when the master knows.
func killLeastKilled(t *testing.T, s *server, l *arrivals, sig unix.Signal) (victim int) {
	t.Helper()
	l.orderly.Lock() // nobody is just leaving: see visit
	defer l.orderly.Unlock()
	var slot int
	s.until("a worker has connections, and all who have left are counted", func(status master.Status) bool {
		victim = 0
		fewest := 0
		for i, w := range status.Workers {
			if w.State == "ready" && w.Connections > 0 && (victim == 0 || w.Restarts < fewest) {
				slot, victim, fewest = i, w.PID, w.Restarts
			}
		}
		return victim != 0 && status.Connections.Closed == l.left.Load()
	})
	kill(t, victim, sig)
	s.until("its end is known", func(status master.Status) bool { return status.Workers[slot].PID != victim })
	return victim
}

// resident returns the resident memory of a process, in bytes (proc_pid_statm(5)).
func resident(t *testing.T, pid int) int {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(content), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
