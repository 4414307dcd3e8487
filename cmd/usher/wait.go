package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/usher-go/usher/master"
)

type waitCommand struct {
	controlFlag `embed:""`

	Ready   bool          `env:"" help:"Until a server answers, and as many workers as are wanted are ready."`
	Timeout time.Duration `env:"" default:"30s" help:"Exit with 1 if it takes longer."`
}

// Help is what usher wait --help adds.
func (waitCommand) Help() string {
	return `For scripts that start a server and then need it.

  usher serve --listen :9000 &
  usher wait --ready --timeout 10s`
}

// waitPace is how often to look for a server that tells nothing: it has not begun, or is too
// old for events, or has too many who follow them.
const waitPace = 50 * time.Millisecond

func (c *waitCommand) Run() error {
	if !c.Ready {
		return usageError{errors.New("say what to wait for: usher wait --ready")}
	}
	if c.Timeout <= 0 {
		return usageError{fmt.Errorf("--timeout is %v, want more than 0", c.Timeout)}
	}
	deadline := time.Now().Add(c.Timeout)
	var why error // as it was before the time was over
	changes := make(chan struct{}, 1)
	go tellChanges(c.Control, changes)
	late := time.NewTimer(c.Timeout)
	defer late.Stop()
	for {
		status, err := statusBy(c.Control, deadline)
		if err == nil {
			if err = unready(status); err == nil {
				_, err = fmt.Printf("ready: %d workers, generation %d\n", status.Wanted, status.Generation)
				return err
			}
		}
		if why == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			why = err
		}
		select {
		case <-changes:
		case <-late.C:
			return fmt.Errorf("not ready within %v: %w", c.Timeout, why)
		}
	}
}

// tellChanges tells that a server's status may have changed: after each of its events, of
// which the first are those before it was asked, and each waitPace while there are none to be
// had. changes has room for one. It does not return, and ends with the process.
func tellChanges(control string, changes chan<- struct{}) {
	tell := func() {
		select {
		case changes <- struct{}{}:
		default: // it was told already
		}
	}
	for {
		_ = readEvents(control, "", func(eventMessage) error { // asking for the status says what is wrong
			tell()
			return nil
		})
		tell()
		time.Sleep(waitPace)
	}
}

// statusBy asks for the status, and waits for the answer until the deadline.
func statusBy(control string, deadline time.Time) (status master.Status, err error) {
	conn, err := dialMaster(control)
	if err != nil {
		return status, err
	}
	_ = conn.SetDeadline(deadline) // a socket has deadlines
	body, err := exchange(conn, "GET", "/v1/status", nil)
	if err != nil {
		return status, err
	}
	if err := json.Unmarshal(body, &status); err != nil {
		return status, fmt.Errorf("the master's answer: %w", err)
	}
	return status, nil
}

// unready returns why a server is not ready, or nil.
func unready(s master.Status) error {
	ready := 0
	for _, w := range s.Workers {
		switch w.State {
		case "ready":
			ready++
		case "draining":
		default:
			return fmt.Errorf("worker %d is %s", w.Slot, w.State)
		}
	}
	if ready < max(s.Wanted, 1) {
		return fmt.Errorf("%d of %d workers are ready", ready, max(s.Wanted, 1))
	}
	return nil
}
