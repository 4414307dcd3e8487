package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// What one HUP costs, with ever more idle connections and with busy ones: how
// fast they move, how long a busy client's connection stands still, and how much
// memory it takes. The figures are for reading (scripts/bench migrate); that
// nothing is lost or wrong is checked.
func TestMigrate(t *testing.T) {
	const most = 12500 // in a process: there are not enough ports, nor descriptors
	for _, test := range []struct{ idle, busy, workers int }{
		{sized(100, 1000), 0, 2},
		{sized(1000, 10_000), 0, 2},
		{sized(5000, 100_000), 0, sized(2, 8)},
		{0, sized(100, 1000), 2},
	} {
		t.Run(fmt.Sprintf("%d idle, %d busy", test.idle, test.busy), func(t *testing.T) {
			s := serve(t, "--workers", strconv.Itoa(test.workers))
			var crowds []*waiters
			for n := 0; n < test.idle; n += most {
				crowds = append(crowds, gatherWaiters(t, fmt.Sprintf("127.0.0.%d", 2+len(crowds)), s.address, min(most, test.idle-n)))
			}
			for _, c := range crowds {
				c.out.awaitWithin(t, 3*limit, 1, "connected")
			}
			b := keepBusy(t, s.address, test.busy)
			all := test.idle + test.busy
			before := s.until("all are connected", func(status master.Status) bool { return int(status.Connections.Active) == all })
			b.warm()
			s.signal(unix.SIGHUP)
			status := s.until("all have moved", func(status master.Status) bool {
				return status.Generation == 2 && ready(test.workers)(status) && int(status.Connections.Active) == all
			})
			b.end()
			peak := peakMemory(t, s.pid)
			for _, pid := range pids(status) {
				peak += peakMemory(t, pid)
			}
			line := s.log.await(t, 1, "reloaded:")
			elapsed := durationIn(t, line, "elapsed") - durationIn(t, s.log.await(t, 1, "the new generation serves"), "elapsed")
			t.Logf("%d moved in %v after the switch: %.0f a second; longest pause %v; peak memory of master and new workers %d MiB",
				all, elapsed, float64(all)/elapsed.Seconds(), durationIn(t, line, "longest_pause"), peak>>20)
			if test.busy > 0 {
				t.Logf("busy clients: %v", b)
			}
			if status.Connections.Lost != 0 || status.Connections.Moved != uint64(all) || before.Connections.Moved != 0 {
				t.Errorf("%+v, want %d moved", status.Connections, all)
			}
			for _, c := range crowds {
				_ = c.in.Close() // whereupon it ends
			}
			s.stop()
		})
	}
}

// durationIn returns what a log line says under a key.
func durationIn(t *testing.T, line, key string) time.Duration {
	t.Helper()
	match := regexp.MustCompile(key + `="?([^"\s]+)`).FindStringSubmatch(line) // µ is quoted
	if match == nil {
		t.Fatalf("no %s in %q", key, line)
	}
	d, err := time.ParseDuration(match[1])
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// peakMemory is the most resident memory that a process ever had, in bytes
// (proc(5), VmHWM).
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmHWM:" {
			kib, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("no VmHWM in %s", content)
	return 0
}
