package child

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// questioned is a process that is not there, whose end of control is the test's.
type questioned struct {
	*Process
	t     *testing.T
	its   int
	heard chan Event
}

func newQuestioned(t *testing.T) *questioned {
	t.Helper()
	c, its := newTestControl(t)
	tail, stderr := newTestTail(t)
	q := &questioned{t: t, its: its, heard: make(chan Event, 10)}
	q.Process = &Process{link: newLink(ID{Slot: 1}, c, tail, func(e Event) { q.heard <- e })}
	q.link.resume()
	t.Cleanup(func() {
		q.link.pause()
		_, _ = tail.from.Close(), stderr.Close() // of one whose end was heard, the first is closed
	})
	return q
}

// question returns the next message that the worker is sent.
func (q *questioned) question() ipc.Message {
	q.t.Helper()
	poll := []unix.PollFd{{Fd: int32(q.its), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, 20_000); n != 1 {
		q.t.Fatalf("no question: %v", err)
	}
	m, _ := received(q.t, q.its)
	return m
}

// answer sends a message of the worker's, with copies of descriptors.
func (q *questioned) answer(m ipc.Message, fds ...int) {
	q.t.Helper()
	b, err := ipc.EncodeMessage(m)
	if err == nil {
		err = new(fdpass.Sender).Send(q.its, b, fds)
	}
	if err != nil {
		q.t.Fatal(err)
	}
}

// asked is what Ask returns.
type asked struct {
	m    ipc.Message
	text string // of the memfd
	err  error
}

func (q *questioned) ask(ctx context.Context, question ipc.Question) <-chan asked {
	done := make(chan asked, 1)
	go func() {
		m, memory, bytes, err := q.Ask(ctx, question)
		a := asked{m: m, err: err}
		if memory != nil {
			text, _ := io.ReadAll(io.NewSectionReader(memory, 0, bytes))
			a.text = string(text)
			_ = memory.Close() // it was only read
		}
		done <- a
	}()
	return done
}

// Each gets its own answer, in whatever order they come, and the owner hears of none.
func TestAnswersFindWhoAsked(t *testing.T) {
	q := newQuestioned(t)
	list := q.ask(t.Context(), ipc.List{Limit: 3})
	first := q.question().(ipc.List)
	stacks := q.ask(t.Context(), ipc.Stacks{})
	second := q.question().(ipc.Stacks)
	level := q.ask(t.Context(), ipc.LogLevel{})
	third := q.question().(ipc.LogLevel)
	q.answer(ipc.Answer{ID: second.ID, Memory: true}, sealed(t, "goroutine 1"))
	q.answer(ipc.Answer{ID: third.ID, Error: "no level"})
	q.answer(ipc.Listed{ID: first.ID, Unlisted: 7})
	q.answer(ipc.Moved{Staying: 1})
	if got := <-list; got.err != nil || got.m.(ipc.Listed).Unlisted != 7 {
		t.Errorf("list: %+v", got)
	}
	if got := <-stacks; got.err != nil || got.text != "goroutine 1" {
		t.Errorf("stacks: %+v", got)
	}
	if got := <-level; got.err == nil || got.err.Error() != "no level" {
		t.Errorf("level: %+v", got)
	}
	if said, ok := (<-q.heard).(Said); !ok || said.Message != (ipc.Moved{Staying: 1}) {
		t.Errorf("the owner heard %+v", said)
	}
}

// A worker may answer anything, and send any descriptor with it.
func TestWrongAnswers(t *testing.T) {
	pipe, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer end.Close()
	for _, test := range []struct {
		name     string
		question ipc.Question
		answer   func(id uint64) ipc.Message
		fds      []int
		err      string
	}{
		{"of another kind", ipc.Stacks{}, func(id uint64) ipc.Message { return ipc.Listed{ID: id} }, nil, "answers something else"},
		{"too much", ipc.List{Limit: 1}, func(id uint64) ipc.Message {
			return ipc.Listed{ID: id, Connections: []ipc.ListedConn{{Position: 1}, {Position: 2}}}
		}, nil, "2 connections, at most 1"},
		{"a pipe", ipc.Stacks{}, func(id uint64) ipc.Message { return ipc.Answer{ID: id, Memory: true} }, []int{int(pipe.Fd())}, "malformed"},
		{"an error of many lines", ipc.Stacks{}, func(id uint64) ipc.Message {
			return ipc.Answer{ID: id, Error: strings.Repeat("a\n", ipc.MaxReason)}
		}, nil, "a\na\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := newQuestioned(t)
			done := q.ask(t.Context(), test.question)
			var id uint64
			switch m := q.question().(type) {
			case ipc.Stacks:
				id = m.ID
			case ipc.List:
				id = m.ID
			}
			q.answer(test.answer(id), test.fds...)
			if got := <-done; got.err == nil || !strings.Contains(got.err.Error(), test.err) || len(got.err.Error()) > ipc.MaxReason {
				t.Errorf("%.100v, want %s", got.err, test.err)
			}
		})
	}
}

// What the page does not allow breaks the protocol; nothing that came with it stays open.
func TestDescriptorsThatNobodyWants(t *testing.T) {
	for _, test := range []struct {
		name string
		m    ipc.Message
		fds  int
		err  string // empty: it is let pass
	}{
		{"an answer without its memory", ipc.Answer{ID: 1, Memory: true}, 0, "without its descriptor"},
		{"an answer with two", ipc.Answer{ID: 1, Memory: true}, 2, "surplus"},
		{"another message with one", ipc.Moved{}, 1, ""},
		{"an answer that nobody has asked for", ipc.Answer{ID: 1, Memory: true}, 1, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := newQuestioned(t)
			var fds []int
			for range test.fds {
				fds = append(fds, sealed(t, "surprise"))
			}
			q.answer(test.m, fds...)
			if test.err == "" {
				q.answer(ipc.Draining{})
			}
			for e := range q.heard {
				broken, isBroken := e.(Broken)
				if test.err != "" && (!isBroken || !strings.Contains(broken.Err.Error(), test.err)) || test.err == "" && isBroken {
					t.Errorf("the owner hears %+v", e)
				}
				if said, ok := e.(Said); !ok || said.Message == (ipc.Draining{}) {
					break
				}
			}
		})
	}
}

// Who asks waits for no longer than it wants to, and the answer that comes later is thrown away.
func TestLateAnswers(t *testing.T) {
	q := newQuestioned(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := q.ask(ctx, ipc.Profile{Kind: ipc.ProfileCPU, Seconds: 60})
	id := q.question().(ipc.Profile).ID
	cancel()
	if got := <-done; !errors.Is(got.err, context.Canceled) {
		t.Errorf("%v, want canceled", got.err)
	}
	if m := q.question(); m != ipc.Message(ipc.Profile{ID: id}) {
		t.Errorf("it is told %+v, want that nobody waits for the profile", m)
	}
	q.answer(ipc.Answer{ID: id, Memory: true}, sealed(t, "late"))
	again := q.ask(t.Context(), ipc.Stacks{})
	q.answer(ipc.Answer{ID: q.question().(ipc.Stacks).ID, Memory: true}, sealed(t, "in time"))
	if got := <-again; got.text != "in time" {
		t.Errorf("%+v", got)
	}
}

// One that answers nothing is not asked without end: its control socket is for other things.
func TestUnansweredAreBounded(t *testing.T) {
	q := newQuestioned(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range maxUnanswered {
		if _, _, _, err := q.Ask(ctx, ipc.Stacks{}); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if _, _, _, err := q.Ask(t.Context(), ipc.Stacks{}); err != errUnanswering {
		t.Fatalf("one too many: %v", err)
	}
	if _, _, _, err := q.Ask(ctx, ipc.List{}); !errors.Is(err, context.Canceled) {
		t.Errorf("another kind: %v", err)
	}
	q.answer(ipc.Answer{ID: q.question().(ipc.Stacks).ID, Error: "busy"})
	q.answer(ipc.Draining{})
	<-q.heard // so the answer has been
	if _, _, _, err := q.Ask(ctx, ipc.Stacks{}); !errors.Is(err, context.Canceled) {
		t.Errorf("after an answer: %v", err)
	}
}

// Its end is an answer, too.
func TestTheDeadDoNotAnswer(t *testing.T) {
	q := newQuestioned(t)
	done := q.ask(t.Context(), ipc.Stacks{})
	q.question()
	q.link.reaped(0, 0)
	if got := <-done; got.err != errEnded {
		t.Errorf("%v, want that it has ended", got.err)
	}
	if _, _, _, err := q.Ask(t.Context(), ipc.Stacks{}); err != errEnded {
		t.Errorf("%v, want that it has ended", err)
	}
	if _, ok := (<-q.heard).(Exited); !ok {
		t.Error("the owner does not hear of the end")
	}
}
