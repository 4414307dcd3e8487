package master

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/usher-go/usher/ipc"
)

// This file is how the master asks workers: on the goroutine of whoever asks, who waits for
// no longer than a limit. The supervisor only says which workers there are; it neither waits
// for them nor hears their answers, so a worker that hangs costs its asker that limit, and
// nobody else anything.

// askable is a worker as the supervisor knows it, for who asks it something.
type askable struct {
	slot, pid   int
	connections int      // received and open
	ready       bool     // it has said so
	asks        []string // the questions that it answers
	process     process
}

// Unanswered is a worker that was not heard of, and why.
type Unanswered struct {
	Worker      int    `json:"worker"` // its slot
	PID         int    `json:"pid"`
	Connections int    `json:"connections"` // received and open
	Error       string `json:"error"`
}

func (w *askable) unanswered(err error) Unanswered {
	return Unanswered{w.slot, w.pid, w.connections, err.Error()}
}

var (
	errNotReady = errors.New("it is not ready yet")
	errNotAsked = errors.New("its program does not answer that")
)

// askables returns all workers that there are, by their slots. On the supervisor's goroutine.
func (s *supervisor) askables() (workers []askable) {
	_, counts := s.dispatch.Snapshot()
	for slot := range s.slots.all() {
		if slot.process == nil {
			continue
		}
		workers = append(workers, askable{
			slot: slot.number, pid: slot.pid(), connections: counts[slot.number].Active,
			ready: slot.ready.Protocol != 0, asks: slot.ready.Asks, process: slot.process,
		})
	}
	return workers
}

// ask asks a worker, for no longer than limit, on any goroutine. The caller closes memory,
// which has so many bytes, or is nil.
func (w *askable) ask(ctx context.Context, q ipc.Question, limit time.Duration) (m ipc.Message, memory *os.File, bytes int64, err error) {
	switch {
	case !w.ready:
		return nil, nil, 0, errNotReady
	case !slices.Contains(w.asks, ipc.AskName(q)):
		return nil, nil, 0, errNotAsked
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	m, memory, bytes, err = w.process.Ask(limited, q)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = fmt.Errorf("no answer within %v", limit)
	}
	return m, memory, bytes, err
}

// workers returns all workers that there are, on the goroutine of a request.
func (a api) workers(r *http.Request) ([]askable, error) {
	answer := make(chan []askable, 1)
	a.supervisor.inbox.Put(workersRequest{answer})
	return await(a, r, answer)
}

// worker returns the one of a slot.
func (a api) worker(r *http.Request, slot string) (*askable, error) {
	number, err := parseSlot(slot)
	if err != nil {
		return nil, err
	}
	workers, err := a.workers(r)
	if err != nil {
		return nil, err
	}
	return findWorker(workers, number)
}

func parseSlot(text string) (int, error) {
	number, err := strconv.Atoi(text)
	if err != nil || number < 0 {
		return 0, fmt.Errorf("%w: %q is no slot, want a number", errRequest, text)
	}
	return number, nil
}

func findWorker(workers []askable, slot int) (*askable, error) {
	i := slices.IndexFunc(workers, func(w askable) bool { return w.slot == slot })
	if i < 0 {
		return nil, fmt.Errorf("there is no worker in slot %d; see usher status", slot)
	}
	return &workers[i], nil
}
