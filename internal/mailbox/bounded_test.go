package mailbox

import (
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// Against a list: however messages, collections and pages fall together.
func TestBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit = 3 * pageMessages
		var told counter
		b := Bounded[*int]{Limit: limit, Notify: told.notify}
		var posted, collected []*int // the model's
		waiting, done := 0, 0
		put := func(t *rapid.T, put func(*int) bool, bounded bool) {
			for range rapid.IntRange(1, 2*pageMessages).Draw(t, "n") {
				message, before := new(int), told.n
				want := !bounded || waiting < limit
				if got := put(message); got != want || (told.n > before) != want {
					t.Fatalf("%d wait: put is %v; notified %d times", waiting, got, told.n-before)
				}
				if want {
					posted = append(posted, message)
					waiting++
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"put":   func(t *rapid.T) { put(t, b.Put, false) },
			"offer": func(t *rapid.T) { put(t, b.Offer, true) },
			"collect": func(*rapid.T) {
				b.Collect()
				collected, posted = append(collected, posted...), nil
			},
			"read": func(t *rapid.T) {
				for range min(len(collected), rapid.IntRange(1, 2*pageMessages).Draw(t, "n")) {
					if got := b.Next(); got != collected[0] {
						t.Fatal("another message, or another order")
					}
					collected = collected[1:]
					done++
				}
			},
			"done": func(*rapid.T) {
				b.Done(done)
				waiting -= done
				done = 0
			},
			"": func(t *rapid.T) {
				if b.Left() != (len(collected) > 0) {
					t.Fatalf("left: %v of %d", b.Left(), len(collected))
				}
				if b.empty.n > pagesKept || b.spare.n > pagesKept {
					t.Fatalf("%d and %d pages kept", b.empty.n, b.spare.n)
				}
				for _, stack := range []pageStack[*int]{b.empty, b.spare} {
					n := 0
					for p := stack.top; p != nil; p = p.next {
						n++
						for _, message := range p.messages[:pageMessages] {
							if len(p.messages) > 0 || message != nil {
								t.Fatal("a page that is kept has a message still")
							}
						}
					}
					if n != stack.n {
						t.Fatalf("%d pages, counted %d", n, stack.n)
					}
				}
			},
		})
	})
}

func TestBoundedClosed(t *testing.T) {
	var told counter
	b := Bounded[int]{Limit: 10, Notify: told.notify}
	b.Put(1)
	b.Collect()
	b.Put(2)
	b.Close()
	if b.Put(3) || b.Offer(4) || told.n != 2 {
		t.Errorf("open after Close; notified %d times", told.n)
	}
	b.Collect()
	if !b.Left() || b.Next() != 1 || b.Left() {
		t.Error("what was collected before Close is left, and nothing else")
	}
}

// Once a page has gone through, its messages cost no memory.
func TestBoundedAllocatesNothing(t *testing.T) {
	b := Bounded[*int]{Limit: 10, Notify: func() {}}
	message := new(int)
	round := func() {
		b.Offer(message)
		b.Collect()
		b.Next()
		b.Done(1)
	}
	if n := testing.AllocsPerRun(10*pageMessages, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// With the race detector: what is shared has the lock.
func TestBoundedFromManyGoroutines(t *testing.T) {
	const putters, each = 8, 3000
	wake := make(chan struct{}, 1)
	b := Bounded[[2]int]{Limit: pageMessages, Notify: func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}}
	var running sync.WaitGroup
	var refused [putters]int
	for from := range putters {
		running.Go(func() {
			for i := range each {
				if !b.Offer([2]int{from, i}) {
					refused[from]++
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { running.Wait(); close(ended) }()
	last := [putters]int{}
	read := 0
	readAll := func() {
		b.Collect()
		for ; b.Left(); read++ {
			message := b.Next()
			if message[1] < last[message[0]] {
				t.Errorf("%d of %d after %d", message[1], message[0], last[message[0]])
			}
			last[message[0]] = message[1]
			b.Done(1)
		}
	}
	for open := true; open; {
		select {
		case <-wake:
		case <-ended:
			open = false
		}
		readAll()
	}
	for _, n := range refused {
		read += n
	}
	if read != putters*each {
		t.Errorf("%d read or refused, of %d", read, putters*each)
	}
}
