package fdpass_test

import (
	"testing"

	"github.com/usher-go/usher/fdpass"
)

// passer sends and receives a batch of so many descriptors, and closes them.
func passer(t testing.TB, count int) func() {
	a, b := pair(t)
	var s fdpass.Sender
	var r fdpass.Receiver
	fds, received := null(t, count), make([]int, count)
	payload, got := []byte("payload"), make([]byte, 64)
	expect := exactly(count)
	return func() {
		if err := s.Send(a, payload, fds); err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.Receive(b, got, received, expect); err != nil {
			t.Fatal(err)
		}
		fdpass.CloseAll(received)
	}
}

func TestAllocatesNothing(t *testing.T) {
	for _, count := range []int{1, 64} {
		if n := testing.AllocsPerRun(100, passer(t, count)); n != 0 {
			t.Errorf("passing %d descriptors: %v allocations", count, n)
		}
	}
	a, b := pair(t)
	var s fdpass.Sender
	var r fdpass.Receiver
	payload := make([]byte, 8)
	empty := func() { _, _, _ = r.Receive(b, payload, nil, nil) } // ErrWouldBlock, and nothing else matters
	if n := testing.AllocsPerRun(100, empty); n != 0 {
		t.Errorf("receiving from an empty socket: %v allocations", n)
	}
	for s.Send(a, payload, nil) == nil {
	}
	full := func() { _ = s.Send(a, payload, nil) } // ErrWouldBlock, and nothing else matters
	if n := testing.AllocsPerRun(100, full); n != 0 {
		t.Errorf("sending to a full socket: %v allocations", n)
	}
}

// One descriptor sent, received and closed.
func BenchmarkPassOne(b *testing.B) { benchmarkPass(b, 1) }

// A batch of 64 sent, received and closed.
func BenchmarkPass64(b *testing.B) { benchmarkPass(b, 64) }

func benchmarkPass(b *testing.B, count int) {
	pass := passer(b, count)
	b.ReportAllocs()
	for b.Loop() {
		pass()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*count), "ns/descriptor")
}
