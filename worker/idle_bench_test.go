package worker

import (
	"testing"
	"time"

	"github.com/usher-go/usher/internal/timerwheel"
)

// BenchmarkIdleUpkeep is what an event costs with 100,000 connections, each
// active now and then: with a timeout of a minute, the stamp of the event and a
// hundred-thousandth of the rearming; without, nothing but the question.
func BenchmarkIdleUpkeep(b *testing.B) {
	const n = 100_000
	for _, timeout := range []time.Duration{0, time.Minute} {
		b.Run(timeout.String(), func(b *testing.B) {
			l := &loop{wheel: timerwheel.New[alarm](), table: newTable(), turnAtKnown: true}
			conns := make([]*Conn, n)
			for i := range conns {
				conns[i] = &Conn{loop: l}
				l.table.add(conns[i])
				conns[i].setIdle(millis(timeout))
			}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				l.turnAt += 10 * time.Microsecond // 100,000 events in a second
				conns[i].gotInput()
				conns[i].progressed()
				i = (i + 7919) % n // a prime: all of them, and none is in the cache
				if _, ok := l.wheel.Next(); ok {
					l.wheel.Advance(l.turnAt)
					for id := l.wheel.Take(); id != 0; id = l.wheel.Take() {
						l.table.at(l.wheel.Value(id).owner).expire(l.turnAt)
					}
				}
			}
			if len(l.dirty) > 0 {
				b.Fatalf("%d timed out", len(l.dirty))
			}
		})
	}
}
