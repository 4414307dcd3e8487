package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
)

func init() {
	helpers["worker-growing"] = func() { worker.Main(&growing{}) }
}

// growing is lines, but keeps a mebibyte for each connection it ever had.
type growing struct {
	lines
	kept [][]byte
}

func (g *growing) Open(*worker.Conn) (worker.Session, error) {
	more := make([]byte, 1<<20)
	for i := 0; i < len(more); i += 4096 {
		more[i] = 1 // the kernel gives what is touched
	}
	g.kept = append(g.kept, more)
	return g, nil
}

// Workers are recycled under load, for each of the reasons there are: one at a
// time, the oldest first, when its successor is ready, so that there are never
// fewer workers than wanted; and no client notices.
func TestRecycle(t *testing.T) {
	t.Parallel()
	const workers = 2
	recycles := sized(2, 20) // the master looks once in a second, and begins one at most
	tests := []struct {
		name, setting string
		reason        string // in the log
	}{
		{"connections", `recycle-conns = 50`, "recycled after "},
		{"age", `recycle-age = "1s"`, "recycled at the age of "},
		{"memory", `recycle-rss = "160MiB"`, "recycled with "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			always := []string{fmt.Sprintf("workers = %d", workers), fmt.Sprintf("program = [%q, %q]", self(), "worker-growing")}
			s := serveConfigured(t, append([]string{test.setting}, always...)...)
			l := startLoad(s.address, 5*time.Millisecond) // 200 per second
			t.Cleanup(func() { l.stop() })                // if the story did not
			looks := 0
			check := func(status master.Status) {
				looks++
				is := make(map[string]int)
				for _, w := range status.Workers {
					is[w.State]++
				}
				if is["ready"] < workers || is["ready"]+is["starting"] > workers+1 {
					t.Errorf("%d ready and %d starting, want never fewer than %d ready and one more in all: %+v",
						is["ready"], is["starting"], workers, status.Workers)
				}
			}
			for n := range recycles {
				s.until(fmt.Sprintf("recycle %d", n+1), func(status master.Status) bool {
					check(status)
					return len(s.log.with("worker draining", test.reason)) > n || t.Failed()
				})
			}
			// The first successor is in the slot after those of the start. Its turn
			// comes as theirs does.
			s.until("everyone's turn", func(status master.Status) bool {
				check(status)
				return len(s.log.with("worker draining", fmt.Sprintf("slot=%d ", workers), test.reason)) > 0 || t.Failed()
			})

			s.write(always...) // no more of it
			s.reload()
			failures := l.stop()
			for _, failure := range failures {
				t.Error(failure)
			}
			counts := s.now().Connections
			t.Logf("%s: %d recycled, %d looks at the status; %d clients, %d failed; %+v", test.setting,
				len(s.log.with("recycling a worker", test.reason)), looks, l.arrived.Load(), len(failures), counts)
			if counts.Lost+counts.Refused != 0 || counts.Accepted != l.arrived.Load() {
				t.Errorf("%+v; want %d accepted, none lost or refused", counts, l.arrived.Load())
			}
			for _, line := range s.log.with("worker died") {
				t.Errorf("in the log: %s", line)
			}
			s.stop()
		})
	}
}
