package child

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
)

// asks are the questions that a worker was asked and has not answered. Answers go from the
// goroutine that hears the worker to the one that asks, and the owner hears nothing of them.
// Any goroutine may use it.
//
//	Ask ──add──► open ──answered──► the answer waits for who asks
//	              │ └──────end────► nobody answers any more
//	              └──abandon──► open, and nobody waits: its answer is thrown away
type asks struct {
	mu   sync.Mutex
	last uint64 // the last question's id
	open map[uint64]openAsk
	over bool // the worker has ended
}

// openAsk is a question that is not answered.
type openAsk struct {
	kind    string      // ipc.AskName of it
	waiting chan answer // with room for the answer; nil: nobody waits any more
}

// answer is what a worker has said to a question.
type answer struct {
	message ipc.Message
	memory  int // owned; -1: none
}

// maxUnanswered is how many questions of one kind a worker may have that it has not answered.
// They take room in its control socket, which is wanted for what it must not miss. Of each
// kind apart: one whose loop hangs lists no connections, and can say where it hangs.
const maxUnanswered = 16

var (
	errUnanswering = fmt.Errorf("it has not answered %d earlier questions of this kind", maxUnanswered)
	errEnded       = errors.New("it has ended")
)

// newAsks begins with an id that no question has had of a program that was upgraded: late
// answers to those may come.
func newAsks() asks {
	clock := ipc.NewClock()
	return asks{last: uint64(clock.Now().Microseconds()), open: make(map[uint64]openAsk)}
}

// Ask asks the worker, and waits for the answer, until ctx is done; if that is so already it
// asks all the same, and does not block. Any goroutine may call it. memory is what comes
// with the answer, of so many bytes, or nil: it is the caller's to close. A profile that is
// not waited for any more is ended.
//
// Errors: ctx's; the worker cannot be asked, for it is gone or does not read, or has too
// many questions; it answers what it should not; or what it says of an error of its own.
func (p *Process) Ask(ctx context.Context, q ipc.Question) (m ipc.Message, memory *os.File, bytes int64, err error) {
	asks := &p.link.asks
	id, came, err := asks.add(ipc.AskName(q))
	if err != nil {
		return nil, nil, 0, err
	}
	if err := p.link.control.tell(q.Numbered(id), -1); err != nil {
		asks.remove(id)
		if errors.Is(err, fdpass.ErrPeerClosed) {
			err = errEnded
		}
		return nil, nil, 0, err
	}
	select {
	case a, ok := <-came:
		if !ok {
			return nil, nil, 0, errEnded
		}
		return a.check(q)
	case <-ctx.Done():
		asks.abandon(id, came)
		if _, profiles := q.(ipc.Profile); profiles {
			_ = p.link.control.tell(ipc.Profile{ID: id}, -1) // otherwise it ends by itself
		}
		return nil, nil, 0, ctx.Err()
	}
}

// check returns an answer as Ask does.
func (a answer) check(q ipc.Question) (m ipc.Message, memory *os.File, bytes int64, err error) {
	if a.memory >= 0 {
		memory = os.NewFile(uintptr(a.memory), "answer")
	}
	err = q.AnsweredBy(a.message)
	if said, ok := a.message.(ipc.Answer); ok && err == nil && said.Error != "" {
		err = errors.New(strings.ToValidUTF8(said.Error[:min(len(said.Error), ipc.MaxReason)], ""))
	}
	if err == nil && memory != nil {
		bytes, err = ipc.AnswerSize(a.memory)
	}
	if err != nil {
		_ = memory.Close() // it is not read; nil is an error, too
		return nil, nil, 0, err
	}
	return a.message, memory, bytes, nil
}

// add opens a question of a kind.
func (a *asks) add(kind string) (id uint64, came <-chan answer, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return 0, nil, errEnded
	}
	unanswered := 0
	for _, asked := range a.open {
		if asked.kind == kind {
			unanswered++
		}
	}
	if unanswered >= maxUnanswered {
		return 0, nil, errUnanswering
	}
	a.last++
	waiting := make(chan answer, 1)
	a.open[a.last] = openAsk{kind, waiting}
	return a.last, waiting, nil
}

// remove closes a question that was not sent.
func (a *asks) remove(id uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, id)
}

// abandon has nobody wait any more for an answer, which may have come just now.
func (a *asks) abandon(id uint64, came <-chan answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if asked, unanswered := a.open[id]; unanswered {
		a.open[id] = openAsk{kind: asked.kind}
		return
	}
	if late, ok := <-came; ok { // it is there, or the worker has ended
		fdpass.CloseAll([]int{late.memory})
	}
}

// answered passes on what answers a question, and reports whether m does. It takes
// ownership of memory, which is -1 if there is none.
func (a *asks) answered(m ipc.Message, memory int) bool {
	id, answers := ipc.AnswerID(m)
	if !answers {
		return false // no other brings anything
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	waiting := a.open[id].waiting
	delete(a.open, id)
	if waiting == nil { // nobody waits, or nobody has asked
		fdpass.CloseAll([]int{memory})
		return true
	}
	waiting <- answer{m, memory}
	return true
}

// end tells all that wait that nobody answers any more.
func (a *asks) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	for _, asked := range a.open {
		if asked.waiting != nil {
			close(asked.waiting)
		}
	}
	clear(a.open)
}
