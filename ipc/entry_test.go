package ipc

import (
	"sync"
	"testing"
)

func TestBell(t *testing.T) {
	e := new(Entry)
	if e.AddClosed(1) {
		t.Error("rings without being asked")
	}
	e.WantBell.Store(1)
	if !e.AddClosed(2) {
		t.Error("does not ring when asked")
	}
	if e.AddClosed(1) {
		t.Error("rings twice")
	}
	if got := e.Closed.Load(); got != 4 {
		t.Errorf("%d closed, want 4", got)
	}
}

// The master asks for the bell and looks again, the workers count and look
// whether they were asked: no close is missed. One that is would hang the test.
func TestNoBellIsMissed(t *testing.T) {
	const workers, closes = 4, 5_000
	master := board(t, workers)
	shared := again(t, master)
	bell := make(chan struct{}, 1) // as a socket with a message in it stays readable
	var running sync.WaitGroup
	for i := range workers {
		running.Go(func() {
			for range closes {
				if shared.Entry(i).AddClosed(1) {
					select {
					case bell <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	closed := func() (sum uint64) {
		for i := range workers {
			sum += master.Entry(i).Closed.Load()
		}
		return sum
	}
	rings := 0
	for seen := uint64(0); seen < workers*closes; {
		for i := range workers {
			master.Entry(i).WantBell.Store(1)
		}
		now := closed()
		if now == seen {
			<-bell
			rings++
		}
		seen = now
	}
	running.Wait()
	t.Logf("%d closes, waited %d times", workers*closes, rings)
}

// A worker that loses connections counts each as lost first. Whenever the master reads, it
// finds all of those in lost that it finds in thawed or closed.
func TestLoadHasThePartsOfWhatItHas(t *testing.T) {
	const times = 200_000
	e := new(Entry)
	var worker sync.WaitGroup
	worker.Go(func() {
		for range times {
			e.Lost.Add(1)
			e.AddThawed(0)
			e.AddClosed(1)
		}
	})
	defer worker.Wait()
	for r := (Reading{}); r.Closed < times; {
		if r = e.Load(); r.Lost < r.Thawed || r.Lost < r.Closed {
			t.Fatalf("%d lost, %d thawed, %d closed", r.Lost, r.Thawed, r.Closed)
		}
	}
}
