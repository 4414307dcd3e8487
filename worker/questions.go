package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/profile"
	"github.com/usher-go/usher/ipc"
)

// questions are answered to an operator who asks what this process is doing. Nothing here
// waits for the loop, which may be stuck in a handler: that is when somebody asks. answer is
// called on the goroutine of control's listener; what takes longer has one of its own, for
// which control waits at its end.
type questions struct {
	control  *control
	log      hclog.Logger
	ownLevel hclog.Level

	mu        sync.Mutex         // guards the following
	profiling uint64             // the id of the profile under way; 0: none is
	cancel    context.CancelFunc // ends it early
	over      bool               // the member ends: no profile is begun
}

func newQuestions(c *control, log hclog.Logger) *questions {
	return &questions{control: c, log: log, ownLevel: log.GetLevel(), cancel: func() {}}
}

// answer answers a question, now or soon.
func (q *questions) answer(message ipc.Message) {
	switch m := message.(type) {
	case ipc.LogLevel:
		q.control.send(q.setLevel(m))
	case ipc.Stacks:
		q.control.done.Go(func() { q.tell(m.ID, profile.Stacks(), nil) })
	case ipc.Profile:
		if m.Kind == "" {
			q.endProfile(m.ID)
			return
		}
		ctx, err := q.beginProfile(m)
		if err != nil {
			q.control.send(refusedAnswer(m.ID, err))
			return
		}
		q.control.done.Go(func() {
			text, err := profile.Make(ctx, m.Kind, time.Duration(m.Seconds)*time.Second, ipc.MaxAnswer)
			q.profiled()
			q.tell(m.ID, text, err)
		})
	}
}

func (q *questions) setLevel(m ipc.LogLevel) ipc.Answer {
	switch {
	case m.Level == ipc.LevelDefault:
		q.log.SetLevel(q.ownLevel)
	case slices.Contains(ipc.LogLevels(), m.Level):
		q.log.SetLevel(hclog.LevelFromString(m.Level))
	case m.Level != "":
		return refusedAnswer(m.ID, fmt.Errorf("this program knows no level %q", m.Level))
	}
	level := q.log.GetLevel().String()
	if !slices.Contains(ipc.LogLevels(), level) {
		return refusedAnswer(m.ID, errors.New("this program's log has no level")) // it is the program's own, or off
	}
	return ipc.Answer{ID: m.ID, Level: level}
}

func refusedAnswer(id uint64, err error) ipc.Answer {
	text := err.Error()
	return ipc.Answer{ID: id, Error: strings.ToValidUTF8(text[:min(len(text), ipc.MaxReason)], "")}
}

// tell sends an answer in a memfd, or the error. It may wait for room in control.
func (q *questions) tell(id uint64, text []byte, err error) {
	if err == nil {
		var memory int
		if memory, err = ipc.SealAnswer(text); err == nil {
			err = q.control.sendBringing(ipc.Answer{ID: id, Memory: true}, memory)
			fdpass.CloseAll([]int{memory})
		}
	}
	if err != nil {
		q.control.send(refusedAnswer(id, err))
	}
}

var (
	errProfiling = errors.New("a profile is under way already")
	errEnding    = errors.New("this worker is ending")
)

// beginProfile takes note of a profile: one is made at a time. It lasts until the context is
// done, which profiled is to follow.
func (q *questions) beginProfile(m ipc.Profile) (context.Context, error) {
	if m.Kind != ipc.ProfileHeap && (m.Seconds < 1 || m.Seconds > ipc.MaxProfileSeconds) {
		return nil, fmt.Errorf("a profile of %d seconds, want 1 to %d", m.Seconds, ipc.MaxProfileSeconds)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.over:
		return nil, errEnding
	case q.profiling != 0:
		return nil, errProfiling
	}
	var ctx context.Context
	ctx, q.cancel = context.WithCancel(context.Background())
	q.profiling = m.ID
	return ctx, nil
}

// endProfile ends the profile of that id early, if it is under way.
func (q *questions) endProfile(id uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.profiling == id {
		q.cancel()
	}
}

// profiled takes note that no profile is under way any more.
func (q *questions) profiled() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.cancel()
	q.profiling = 0
}

// end ends the profile under way, and has no more begin.
func (q *questions) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over = true
	q.cancel()
}
