package timerwheel

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

func TestIsLateByNoMoreThanPromised(t *testing.T) {
	const start = 12345*time.Hour + 678*time.Microsecond
	away := []time.Duration{
		math.MinInt64, -time.Hour, 0, 1, time.Microsecond, time.Millisecond - 1, time.Millisecond, time.Millisecond + 1,
		254 * time.Millisecond, 255 * time.Millisecond, 256 * time.Millisecond, 257 * time.Millisecond, 511 * time.Millisecond,
		time.Second, 30 * time.Second, time.Minute, time.Hour, horizonTicks * tickTime, 24 * time.Hour, 400 * 24 * time.Hour,
	}
	for _, away := range away {
		t.Run(away.String(), func(t *testing.T) {
			w := New[int]()
			id := w.Add()
			deadline := start + max(away, -start)
			w.Arm(id, start, deadline)
			for steps := 0; ; steps++ {
				at, ok := w.Next()
				if !ok {
					t.Fatal("nothing armed")
				}
				w.Advance(at - 1)
				if w.Take() != 0 {
					t.Fatalf("fired before %v, which was next", at)
				}
				w.Advance(at)
				if got := w.Take(); got == 0 && steps < 10_000 {
					continue // beyond the horizon
				} else if got != id {
					t.Fatalf("%d fired, want %d", got, id)
				}
				if at < deadline || at > max(deadline+Late(away), start+tickTime) {
					t.Errorf("due at %v, fired at %v", deadline, at)
				}
				break
			}
			w.Advance(math.MaxInt64)
			if got := w.Take(); got != 0 {
				t.Errorf("%d fired again", got)
			}
			if _, ok := w.Next(); ok {
				t.Error("something is armed still")
			}
		})
	}
}

// Bounds in the documentation.
func TestIsWithinTenMillisecondsOrOnePercent(t *testing.T) {
	for away := time.Duration(0); away < horizonTicks*tickTime; away += away/1000 + time.Millisecond/3 {
		const wait = time.Millisecond // epoll_pwait rounds up
		if got, want := Late(away)+wait, max(10*time.Millisecond, away/100); got > want {
			t.Fatalf("%v away: late by %v, more than %v", away, got, want)
		}
	}
}

func TestFiresInOrderOfArming(t *testing.T) {
	w := New[int]()
	var want []uint32
	for range 10 {
		id := w.Add()
		w.Arm(id, 0, 5*time.Millisecond)
		want = append(want, id)
	}
	again := want[3]
	w.Arm(again, 0, 5*time.Millisecond)
	want = append(slices.Delete(want, 3, 4), again)
	w.Advance(5 * time.Millisecond)
	w.Cancel(want[5]) // due, but not taken
	want = slices.Delete(want, 5, 6)
	if got := taken(w); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A loop that arms what is due at once, whenever it fires, comes to an end.
func TestDoesNotFireTwiceInOneTick(t *testing.T) {
	w := New[int]()
	id := w.Add()
	for now := time.Duration(0); now < 10*time.Millisecond; now += time.Millisecond {
		w.Arm(id, now, now)
		w.Advance(now + time.Millisecond/2)
		if got := taken(w); len(got) > 0 {
			t.Fatalf("%v fired in the tick of its arming", got)
		}
		w.Advance(now + time.Millisecond)
		if got := taken(w); len(got) != 1 {
			t.Fatalf("%v fired, want one", got)
		}
	}
}

func taken[V any](w *Wheel[V]) (ids []uint32) {
	for id := w.Take(); id != 0; id = w.Take() {
		ids = append(ids, id)
	}
	return ids
}

// entry is one deadline of the model, which is a list.
type entry struct {
	id       uint32
	deadline time.Duration
	latest   time.Duration // by when it must have fired
}

func byDeadline(a, b entry) int { return cmp.Compare(a.deadline, b.deadline) }

func TestAgainstAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := New[uint32]()
		now := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "start"))
		var list []entry // sorted by deadline
		var idle []uint32
		drop := func(id uint32) (e entry, found bool) {
			i := slices.IndexFunc(list, func(e entry) bool { return e.id == id })
			if i < 0 {
				return entry{}, false
			}
			e = list[i]
			list = slices.Delete(list, i, i+1)
			return e, true
		}
		anID := func(t *rapid.T) uint32 {
			armed := len(list)
			if armed+len(idle) == 0 || rapid.IntRange(0, 3).Draw(t, "new") == 0 {
				id := w.Add()
				*w.Value(id) = id
				idle = append(idle, id)
				return id
			}
			if i := rapid.IntRange(0, armed+len(idle)-1).Draw(t, "which"); i < armed {
				return list[i].id
			} else {
				return idle[i-armed]
			}
		}
		duration := func(t *rapid.T) time.Duration {
			scale := rapid.SampledFrom([]time.Duration{time.Microsecond, time.Millisecond, 300 * time.Millisecond, time.Second, time.Minute, 3 * time.Hour}).Draw(t, "scale")
			return time.Duration(rapid.Float64Range(-0.1, 2).Draw(t, "length") * float64(scale))
		}
		advance := func(t *rapid.T, by time.Duration) {
			now += by
			w.Advance(now)
			for _, id := range taken(w) {
				e, found := drop(id)
				if !found {
					t.Fatalf("%d fired, not armed", id)
				}
				if now < e.deadline {
					t.Fatalf("%d, due at %v, fired at %v", id, e.deadline, now)
				}
				if *w.Value(id) != id {
					t.Fatalf("%d has the value %d", id, *w.Value(id))
				}
				idle = append(idle, id)
			}
			for _, e := range list {
				if now >= e.latest {
					t.Fatalf("%d, due at %v, not fired at %v", e.id, e.deadline, now)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"arm": func(t *rapid.T) {
				id := anID(t)
				away := duration(t)
				drop(id)
				idle = slices.DeleteFunc(idle, func(other uint32) bool { return other == id })
				e := entry{id, now + away, now + max(away, 0) + Late(away) + tickTime}
				i, _ := slices.BinarySearchFunc(list, e, byDeadline)
				list = slices.Insert(list, i, e)
				w.Arm(id, now, e.deadline)
			},
			"cancel": func(t *rapid.T) {
				id := anID(t)
				if _, found := drop(id); found {
					idle = append(idle, id)
				}
				w.Cancel(id)
			},
			"remove": func(t *rapid.T) {
				id := anID(t)
				drop(id)
				idle = slices.DeleteFunc(idle, func(other uint32) bool { return other == id })
				w.Remove(id)
			},
			"advance": func(t *rapid.T) { advance(t, max(0, duration(t))) },
			"advance to next": func(t *rapid.T) {
				if at, ok := w.Next(); ok && at > now {
					before := len(list)
					advance(t, at-1-now)
					if len(list) != before {
						t.Fatalf("fired before %v, which was next", at)
					}
					advance(t, 1)
				}
			},
			"": func(t *rapid.T) {
				at, ok := w.Next()
				if ok != (len(list) > 0) {
					t.Fatalf("next: %v, of %d", ok, len(list))
				}
				for _, e := range list {
					if at > e.latest {
						t.Fatalf("next is %v, after %d is due", at, e.id)
					}
					if deadline, armed := w.Due(e.id); !armed || deadline != e.deadline {
						t.Fatalf("%d: %v, %v; want %v", e.id, deadline, armed, e.deadline)
					}
				}
			},
		})
	})
}

// Many deadlines, each fired once and in time, with few wake-ups.
func TestHoldsAHundredThousand(t *testing.T) {
	const n, timeout = 100_000, time.Minute
	w := New[time.Duration]()
	random := rand.New(rand.NewPCG(1, 2))
	now := time.Duration(0)
	for range n {
		now += time.Duration(random.Int64N(int64(100 * time.Microsecond))) // 5 s in all
		id := w.Add()
		*w.Value(id) = now
		w.Arm(id, now, now+timeout)
	}
	fired, wakeups := 0, 0
	for at, ok := w.Next(); ok; at, ok = w.Next() {
		wakeups++
		w.Advance(at)
		for id := w.Take(); id != 0; id = w.Take() {
			deadline := *w.Value(id) + timeout
			if at < deadline || at > deadline+Late(timeout) {
				t.Fatalf("due at %v, fired at %v", deadline, at)
			}
			fired++
			w.Remove(id)
		}
	}
	if fired != n || wakeups > 30 {
		t.Errorf("%d of %d fired, in %d wake-ups", fired, n, wakeups)
	}
	if made := w.made; w.Add() == 0 || w.made != made {
		t.Error("ids are not used again")
	}
}

// A deadline takes 16 bytes beside its value.
func TestSize(t *testing.T) {
	if size := unsafe.Sizeof(node[uint64]{}); size > 16+8 {
		t.Errorf("a deadline takes %d bytes", size)
	}
}

func BenchmarkArmCancel(b *testing.B) {
	for _, away := range []time.Duration{10 * time.Millisecond, time.Minute} {
		b.Run(away.String(), func(b *testing.B) {
			w := New[[2]uint64]()
			id := w.Add()
			var now time.Duration
			b.ReportAllocs()
			for b.Loop() {
				now += time.Microsecond
				w.Arm(id, now, now+away)
				w.Cancel(id)
			}
		})
	}
}

// BenchmarkAdvance is one turn of a loop with so many far deadlines: the
// time goes on, and the next deadline is asked for.
func BenchmarkAdvance(b *testing.B) {
	for _, n := range []int{1, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := New[[2]uint64]()
			for i := range n {
				w.Arm(w.Add(), 0, time.Hour+time.Duration(i)*time.Millisecond)
			}
			var now time.Duration
			b.ReportAllocs()
			for b.Loop() {
				now = (now + 10*time.Microsecond) % time.Hour
				w.Advance(now)
				if _, ok := w.Next(); !ok || w.Take() != 0 {
					b.Fatal("nothing is armed, or something due")
				}
			}
		})
	}
}
