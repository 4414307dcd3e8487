package main

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
)

// usher wait may begin before the server does, and returns when its workers are ready.
func TestWaitReady(t *testing.T) {
	t.Parallel()
	control := filepath.Join(shortDir(t), "c")
	done := make(chan result, 1)
	go func() { done <- usher(t, "wait", "--ready", "--control", control, "--timeout", "1m") }()
	s := serve(t, "--workers", "2", "--control", control)
	if got, want := <-done, (result{0, "ready: 2 workers, generation 1\n", ""}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	s.stop()
}

// A server that tells its events is asked again when there is one, and not each moment.
func TestWaitsByEvents(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	following, states := make(chan struct{}), make(chan string)
	state := atomic.Value{}
	state.Store("starting")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		fmt.Fprintf(w, `{"wanted":1,"generation":7,"workers":[{"slot":0,"state":%q}]}`, state.Load())
	})
	mux.HandleFunc("GET /v1/events", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("retry: 1000\n\n")) // usher wait is there
		_ = http.NewResponseController(w).Flush()
		close(following)
		for {
			select {
			case s := <-states:
				state.Store(s)
				_, _ = w.Write([]byte("id: 1\ndata: {}\n\n"))
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	control := standIn(t, mux)
	done := make(chan result, 1)
	go func() { done <- usher(t, "wait", "--ready", "--control", control, "--timeout", "1m") }()
	select {
	case <-following:
		states <- "gone"
		states <- "ready"
	case got := <-done:
		t.Errorf("it does not follow events: %+v", got)
		done <- got
	}
	if got, want := <-done, (result{0, "ready: 1 workers, generation 7\n", ""}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if n := asked.Load(); n > 3 {
		t.Errorf("the status was asked for %d times: at first, and after two events, is 3", n)
	}
}

// A server whose workers are not all ready is waited for, so long and no longer.
func TestWaitTimeout(t *testing.T) {
	t.Parallel()
	folder := shortDir(t)
	program := folder + "/w"
	script(t, program, fmt.Sprintf("#!/bin/sh\nexec %s worker lines\n", self()))
	s := serve(t, "--workers", "1", "--", program)
	script(t, program, fmt.Sprintf("#!/bin/sh\nexec %s worker-mute\n", self()))
	cmd, mark := command("scale", "+1", "--control", s.control)
	t.Cleanup(func() { killMarked(mark) })
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.until("one is starting", func(status master.Status) bool { return len(status.Workers) == 2 })
	checkComplaint(t, s.ask("wait", "--ready", "--timeout", "2s"), exitFailed, "not ready within 2s", "worker 1 is")
	if got := s.ask("scale", "1"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	_ = cmd.Wait() // whatever came of it
	if got := s.ask("wait", "--ready"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	s.stop()
}

func TestWaitUsage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "c")
	for _, wrong := range [][]string{{}, {"--ready", "--timeout", "0"}, {"--ready", "--timeout", "-1s"}, {"--ready", "--timeout", "soon"}, {"ready"}} {
		checkComplaint(t, usher(t, append([]string{"wait", "--control", path}, wrong...)...), exitUsage, " --help")
	}
	checkComplaint(t, usher(t, "wait", "--ready", "--control", path, "--timeout", "1ms"), exitFailed, "not ready within 1ms", "no master answers on "+path)

	listener, err := net.Listen("unix", path) // a master that says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	began := time.Now()
	got := usher(t, "wait", "--ready", "--control", path, "--timeout", "100ms")
	if checkComplaint(t, got, exitFailed, "not ready within 100ms"); time.Since(began) > limit/2 {
		t.Errorf("it took %v", time.Since(began))
	}
}

func TestUnready(t *testing.T) {
	worker := func(states ...string) (workers []master.WorkerStatus) {
		for slot, state := range states {
			workers = append(workers, master.WorkerStatus{Slot: slot, State: state})
		}
		return workers
	}
	for name, test := range map[string]struct {
		wanted  int
		workers []master.WorkerStatus
		want    string
	}{
		"ready":              {2, worker("ready", "ready"), ""},
		"and one that goes":  {1, worker("draining", "ready"), ""},
		"starting":           {2, worker("ready", "starting"), "worker 1 is starting"},
		"gone":               {1, worker("gone"), "worker 0 is gone"},
		"none":               {1, nil, "0 of 1"},
		"one is yet to come": {3, worker("ready", "draining", "ready"), "2 of 3"},
		"of an older master": {0, worker("ready"), ""},
		"of one, and none":   {0, nil, "0 of 1"},
	} {
		t.Run(name, func(t *testing.T) {
			err := unready(master.Status{Wanted: test.wanted, Workers: test.workers})
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
