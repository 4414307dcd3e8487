package worker

import (
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// BenchmarkList is what a turn of a loop with 100,000 connections takes for a page of a list:
// one that is full, and one that looks for a listener that has none.
func BenchmarkList(b *testing.B) {
	const connections = 100_000
	master, fd, err := fdpass.Pair()
	if err != nil {
		b.Fatal(err)
	}
	defer fdpass.CloseAll([]int{master})
	l := &loop{table: newTable(), epoch: time.Now(), log: hclog.NewNullLogger()}
	l.clock = func() time.Duration { return time.Since(l.epoch) }
	m := &member{loop: l, control: newControl(fd, hclog.NewNullLogger())}
	defer m.control.close()
	m.lister = lister{member: m, clock: ipc.NewClock()}
	at := l.originOf(place{listener: "web"})
	for id := range uint64(connections) {
		l.table.add(&Conn{loop: l, origin: at, id: id + 1, fd: -1, state: newState(phaseOpen, 0)})
	}
	for name, question := range map[string]ipc.List{
		"full": {Limit: ipc.MaxListed, Listener: "web"}, "none": {Limit: ipc.MaxListed, Listener: "other"},
	} {
		b.Run(name, func(b *testing.B) {
			longest := time.Duration(0)
			buffer := make([]byte, ipc.MaxMessage)
			for b.Loop() {
				begun := time.Now()
				m.lister.put(question)
				m.lister.list()
				longest = max(longest, time.Since(begun))
				if _, err := unix.Read(master, buffer); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(longest.Microseconds()), "µs-longest")
		})
	}
}
