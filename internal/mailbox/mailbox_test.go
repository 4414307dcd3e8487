package mailbox

import (
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counter counts what it is told; under the mailbox's lock that needs no other.
type counter struct{ n int }

func (c *counter) notify() { c.n++ }

func TestMailbox(t *testing.T) {
	var told counter
	m := Mailbox[string]{Notify: told.notify}
	if !m.Empty() || len(m.Take()) > 0 {
		t.Error("not empty at first")
	}
	for range 3 { // what was taken is filled again
		if !m.Put("a") || !m.Put("b") || m.Empty() {
			t.Error("not put")
		}
		if got := m.Take(); !slices.Equal(got, []string{"a", "b"}) || !m.Empty() {
			t.Errorf("%q", got)
		}
	}
	if told.n != 6 {
		t.Errorf("notified %d times of 6", told.n)
	}
	m.Put("left")
	if left := m.Close(); !slices.Equal(left, []string{"left"}) {
		t.Errorf("left: %q", left)
	}
	if m.Put("late") || told.n != 7 || !m.Empty() || len(m.Take()) > 0 {
		t.Errorf("open after Close; notified %d times", told.n)
	}
}

// What was read is not kept from the collector for longer than until the next Take.
func TestMailboxForgets(t *testing.T) {
	m := Mailbox[*int]{Notify: func() {}}
	m.Put(new(int))
	m.Take()
	m.Take()
	if got := m.posted[:1][0]; got != nil {
		t.Error("what was read is kept")
	}
}

// Each of several goroutines finds its messages in its order, whenever they are read.
func TestMailboxKeepsTheOrder(t *testing.T) {
	const putters, each = 8, 1000
	wake := make(chan struct{}, 1)
	m := Mailbox[[2]int]{Notify: func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}}
	var running sync.WaitGroup
	for from := range putters {
		running.Go(func() {
			for i := range each {
				m.Put([2]int{from, i})
			}
		})
	}
	var next [putters]int
	for read := 0; read < putters*each; {
		<-wake
		for _, message := range m.Take() {
			if message[1] != next[message[0]] {
				t.Fatalf("%d of %d, want %d", message[1], message[0], next[message[0]])
			}
			next[message[0]]++
			read++
		}
	}
	running.Wait()
}
