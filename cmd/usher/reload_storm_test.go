package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// Reload follows on reload while many clients come and go as fast as they can,
// and as many others stay for a while and exchange all the time: nobody is
// refused, reset or given a short answer.
//
// Generations that are left may linger, at most three: a fourth is cut short,
// as promised. Whoever stays here leaves within the time from one reload to the
// next, and a reload is asked for only while not more than one lingers: with the
// one that serves and one under way there are never four.
func TestReloadStorm(t *testing.T) {
	hangups, least := sized(5, 20), sized(2, 5) // signals, and reloads that must come of them
	each := sized(10, 100)                      // clients of either kind
	pace := sized(300*time.Millisecond, time.Second)
	const between = 50 * time.Millisecond // exchanges of those who stay

	s := serve(t, "--app", "lines", "--workers", "2", "--max-workers", "8")
	var done atomic.Bool
	var hasty, steady, exchanges atomic.Int64
	var group sync.WaitGroup
	repeat := func(visits *atomic.Int64, visit func() error) {
		for range each {
			group.Go(func() {
				for !done.Load() {
					if err := visit(); err != nil {
						t.Errorf("visit: %v", err)
						return
					}
					visits.Add(1)
				}
			})
		}
	}
	repeat(&hasty, func() error { return shortVisit(s.address) })
	repeat(&steady, func() error { return stay(s.address, pace, between, &exchanges) })

	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	start, sent, generations := time.Now(), 0, 0
	for ; sent < hangups || generations < least; sent++ {
		<-ticker.C
		status := s.until("the generations before the last have left", func(status master.Status) bool {
			return lingering(status) <= 1
		})
		generations = status.Generation - 1
		s.signal(unix.SIGHUP)
		if time.Since(start) > time.Duration(hangups)*pace+limit {
			t.Fatalf("%d reloads in %v, want at least %d", generations, time.Since(start), least)
		}
	}
	done.Store(true)
	group.Wait()
	elapsed := time.Since(start)

	generation := s.settle()
	status := s.until("the last generation alone", func(status master.Status) bool {
		return ready(2)(status) && lingering(status) == 0
	})
	counts := status.Connections
	t.Logf("%d hangups in %v, %d reloads: %d short visits, %d long ones with %d exchanges, none failed; %+v",
		sent, elapsed.Round(time.Millisecond), generation-1, hasty.Load(), steady.Load(), exchanges.Load(), counts)
	if counts.Lost+counts.Refused != 0 || counts.Accepted != uint64(hasty.Load()+steady.Load()) {
		t.Errorf("%+v; want %d accepted, none lost or refused", counts, hasty.Load()+steady.Load())
	}
	s.stop()
}

// stay is a client that exchanges at a pace until it has stayed long enough.
func stay(address string, stays, pace time.Duration, exchanges *atomic.Int64) error {
	start := time.Now()
	c, err := connect(address)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for n := 0; time.Since(start) < stays-pace; n++ {
		if _, err := c.exchange(fmt.Sprintf("line %d", n)); err != nil {
			return err
		}
		exchanges.Add(1)
		<-ticker.C
	}
	return c.end()
}

// lingering returns how many generations there are that do not serve any more.
func lingering(status master.Status) int {
	old := make(map[int]bool)
	for _, w := range status.Workers {
		if w.Generation < status.Generation {
			old[w.Generation] = true
		}
	}
	return len(old)
}

// settle reloads once more, and so returns when no reload is under way: the
// generation that serves then.
func (s *server) settle() (generation int) {
	s.t.Helper()
	var answer struct{ Generation int }
	if err := post(s.control, "/v1/reload", nil, &answer); err != nil {
		s.t.Fatal(err)
	}
	return answer.Generation
}
