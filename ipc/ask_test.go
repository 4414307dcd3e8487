package ipc

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/leaktest"
)

// A master does not show what a worker answers that does not keep to the protocol.
func TestAnswersAreChecked(t *testing.T) {
	at := func(positions ...uint64) (conns []ListedConn) {
		for _, p := range positions {
			conns = append(conns, ListedConn{Position: p})
		}
		return conns
	}
	list := List{Cursor: 10, Limit: 3}
	tests := []struct {
		name     string
		question Question
		answer   Message
		err      string // empty: it is one
	}{
		{"nothing to list", list, Listed{}, ""},
		{"as many as asked for", list, Listed{Connections: at(10, 11, 20), Cursor: 21}, ""},
		{"none, and where to go on", list, Listed{Cursor: 11}, ""},
		{"too many", list, Listed{Connections: at(10, 11, 12, 13)}, "lists 4 connections, at most 3"},
		{"one from before the cursor", list, Listed{Connections: at(9)}, "out of order"},
		{"one twice", list, Listed{Connections: at(11, 11)}, "out of order"},
		{"the last position that there is, and one after it", list, Listed{Connections: at(1<<64-1, 10)}, "out of order"},
		{"a cursor that stands still", list, Listed{Cursor: 10}, "in circles"},
		{"a cursor that goes back", list, Listed{Cursor: 9}, "in circles"},
		{"a cursor before what is listed", list, Listed{Connections: at(20), Cursor: 20}, "in circles"},
		{"a long word", list, Listed{Connections: []ListedConn{{Position: 10, About: strings.Repeat("a", MaxAbout+1)}}}, "257 bytes"},
		{"an answer to another question", list, Answer{}, "something else"},
		{"stacks", Stacks{}, Answer{Memory: true}, ""},
		{"no stacks", Stacks{}, Answer{Error: "no"}, ""},
		{"neither stacks nor an error", Stacks{}, Answer{}, "something else"},
		{"stacks and an error", Stacks{}, Answer{Memory: true, Error: "no"}, "something else"},
		{"a list in the place of stacks", Stacks{}, Listed{}, "something else"},
		{"a profile", Profile{}, Answer{Memory: true}, ""},
		{"neither a profile nor an error", Profile{}, Answer{Level: "info"}, "something else"},
		{"a level", LogLevel{}, Answer{Level: "warn"}, ""},
		{"no level", LogLevel{}, Answer{Error: "no"}, ""},
		{"a level that there is not", LogLevel{}, Answer{Level: "loud"}, "something else"},
		{"a level in a memfd", LogLevel{}, Answer{Level: "info", Memory: true}, "something else"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.question.AnsweredBy(test.answer)
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("%v, want %q", err, test.err)
			}
		})
	}
}

func TestQuestionsHaveIDs(t *testing.T) {
	for _, q := range []Question{List{Limit: 1}, Stacks{}, Profile{Kind: ProfileHeap}, LogLevel{Level: "info"}} {
		b, err := EncodeMessage(q.Numbered(7))
		if err != nil || !bytes.Contains(b, []byte(`"id":7`)) {
			t.Errorf("%T: %s, %v", q, b, err)
		}
		if _, ok := AnswerID(q); ok {
			t.Errorf("%T answers something", q)
		}
	}
	for _, m := range []Message{Listed{ID: 7}, Answer{ID: 7}} {
		if id, ok := AnswerID(m); id != 7 || !ok {
			t.Errorf("%T: %d, %t", m, id, ok)
		}
	}
}

func TestSealedAnswers(t *testing.T) {
	leaktest.Descriptors(t)
	for _, b := range [][]byte{{}, []byte("goroutine 1"), slices.Repeat([]byte("0123456789abcdef"), MaxAnswer/16)} {
		fd, err := SealAnswer(b)
		if err != nil {
			t.Fatal(err)
		}
		size, err := AnswerSize(fd)
		if err != nil || size != int64(len(b)) {
			t.Errorf("%d bytes became %d, %v", len(b), size, err)
		}
		got, err := fdpass.ReadSealed(fd, MaxAnswer)
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("%d bytes became %d others, %v", len(b), len(got), err)
		}
		fdpass.CloseAll([]int{fd})
	}
	if fd, err := SealAnswer(make([]byte, MaxAnswer+1)); err == nil {
		t.Errorf("descriptor %d has more than fits", fd)
	}
}

// A worker can send any descriptor in the place of an answer.
func TestUnsealedAnswers(t *testing.T) {
	leaktest.Descriptors(t)
	long, err := fdpass.Seal("long", make([]byte, MaxAnswer+1))
	if err != nil {
		t.Fatal(err)
	}
	shared, err := fdpass.Share("shared", 10)
	if err != nil {
		t.Fatal(err)
	}
	defer fdpass.CloseAll([]int{long, shared})
	for name, fd := range map[string]int{"longer than allowed": long, "not sealed": shared, "no memfd": 0} {
		if size, err := AnswerSize(fd); !errors.Is(err, ErrMalformed) || size != 0 {
			t.Errorf("%s: %d bytes, %v; want malformed", name, size, err)
		}
	}
}
