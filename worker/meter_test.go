package worker_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
)

// What a worker counts for people is in its scoreboard when the turn is over.
func TestMeter(t *testing.T) {
	const size = 300_000
	posted := make(chan struct{})
	s := newRig(t, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		if in[0] == 'p' {
			go c.Post(func(*worker.Conn) { close(posted) })
			in[0] = 'x'
		}
		_, err := c.Write(in)
		return len(in), err
	}))
	began := ipc.NewClock().Now()
	s.accepted = began
	c := s.connect()
	for range 300 { // turns enough for one to be timed
		swap(t, c, []byte("x"))
	}
	swap(t, c, []byte("p"))
	<-posted
	swap(t, c, bytes.Repeat([]byte("x"), size))
	total := uint64(301 + size)
	s.untilRead("all is counted", func(r *ipc.FurtherReading) bool {
		return r.BytesReceived == total && r.BytesSent == total && r.Posts == 1
	})
	r := s.further.Load()
	within := uint64(ipc.NewClock().Now() - began)
	waited, lag := ipc.Count(&r.QueueWait), ipc.Count(&r.LoopLag)
	if r.Reads < 302 || r.Reads > r.Turns || lag < r.Turns/64-1 || lag > r.Turns/64+1 || waited != 1 {
		t.Errorf("%d reads, %d turns, %d of them in the histogram, %d have waited", r.Reads, r.Turns, lag, waited)
	}
	if r.LongestTurn == 0 || r.LongestTurn > within || r.LoopLag.Sum > within || r.QueueWait.Sum > within {
		t.Errorf("in %d ns: the longest turn %d, in turns %d, queued %d", within, r.LongestTurn, r.LoopLag.Sum, r.QueueWait.Sum)
	}
	for row := range r.All() {
		if !r.Has(row) {
			t.Errorf("%s is not kept", row.Name)
		}
	}
	c.Close()
}

// A worker that is told of too little room serves as ever.
func TestMeterWithoutRoom(t *testing.T) {
	s := newRigWith(t, ipc.Hello{Protocol: ipc.Version, Further: ipc.Place{Offset: ipc.EntrySize, Length: 64}}, worker.DataFunc(echo))
	c := s.connect()
	swap(t, c, []byte("x"))
	c.Close()
	if r := s.further.Load(); r != (ipc.FurtherReading{}) {
		t.Errorf("it wrote %+v", r)
	}
}

// swap sends b, and reads as much.
func swap(t *testing.T, c io.ReadWriter, b []byte) {
	t.Helper()
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(b)
		sent <- err
	}()
	_, err := io.ReadFull(c, make([]byte, len(b)))
	check(t, err)
	check(t, <-sent)
}

// untilRead waits until the counters are as they should be.
func (s *rig) untilRead(what string, ok func(r *ipc.FurtherReading) bool) {
	s.t.Helper()
	for limit := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		r := s.further.Load()
		if ok(&r) {
			return
		}
		if time.Now().After(limit) {
			s.t.Fatalf("%s: %+v", what, r)
		}
	}
}
