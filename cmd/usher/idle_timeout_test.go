package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
)

// Who says nothing for --idle-timeout is sent away in order, be it from the
// start, after an answer or in the middle of a line; who says something now and
// then is not.
func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	timeout := sized(time.Second, 3*time.Second)
	s := serve(t, "--app", "lines", "--workers", "2", "--idle-timeout", timeout.String())
	before := s.now()
	silent, once, midline, active := dial(t, s.address), dial(t, s.address), dial(t, s.address), dial(t, s.address)
	active.ask(t, "hello")
	once.ask(t, "hello")
	if err := midline.send("half a "); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 3)
	start := time.Now()
	for _, c := range []*client{silent, once, midline} {
		go func() {
			err := c.atEnd()
			if err == nil && time.Since(start) < timeout/2 { // it was there before the start, but not for that long
				err = fmt.Errorf("the end after %v, want it after %v", time.Since(start), timeout)
			}
			ended <- err
		}()
	}
	// The pauses are a tenth of the timeout. On a machine that made one longer
	// than that, the end is no failure.
	pace := time.NewTicker(timeout / 10)
	defer pace.Stop()
	var longest time.Duration
	for last := time.Now(); time.Since(start) < 2*timeout; <-pace.C {
		_, err := active.exchange("still here")
		longest = max(longest, time.Since(last))
		last = time.Now()
		if err != nil && longest < timeout*9/10 {
			t.Errorf("who exchanges every %v is sent away: %v", timeout/10, err)
		}
		if err != nil {
			break
		}
	}
	for range 3 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Logf("idle timeout %v: three sent away, one stayed for %v with pauses of up to %v",
		timeout, time.Since(start).Round(time.Millisecond), longest.Round(time.Millisecond))
	_ = active.conn.Close() // it has all its answers
	status := s.until("all have left", func(status master.Status) bool { return status.Connections.Closed == 4 })
	if status.Connections.Lost+status.Connections.Refused != 0 {
		t.Errorf("%+v, want none lost or refused", status.Connections)
	}
	s.unchanged(before)
	s.stop()
}
