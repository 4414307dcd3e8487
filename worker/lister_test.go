package worker_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
)

// list asks for connections, page by page, and returns them all.
func (s *rig) list(question ipc.List) (all []ipc.ListedConn) {
	s.t.Helper()
	for {
		question.ID++
		s.tell(question)
		answer := next[ipc.Listed](s)
		if err := question.AnsweredBy(answer); err != nil || answer.ID != question.ID {
			s.t.Fatalf("%+v is answered by %+v: %v", question, answer, err)
		}
		all = append(all, answer.Connections...)
		if question.Cursor = answer.Cursor; question.Cursor == 0 {
			return all
		}
	}
}

// A list has every connection once, whatever the pages are, with what is known of it.
func TestList(t *testing.T) {
	s := newRig(t, worker.DataFunc(echo))
	s.accepted = ipc.NewClock().Now() - time.Minute
	if got := s.list(ipc.List{Limit: 10}); len(got) != 0 {
		t.Errorf("%d connections of none", len(got))
	}
	clients := s.connectAll(150) // more than fit into a message
	for _, limit := range []int{1, 7, 150, ipc.MaxListed} {
		listed := s.list(ipc.List{Limit: limit})
		seen := make(map[uint64]bool)
		for _, c := range listed {
			seen[c.ID] = true
		}
		if len(listed) != len(clients) || len(seen) != len(clients) {
			t.Errorf("by %d: %d connections, %d different ones, of %d", limit, len(listed), len(seen), len(clients))
		}
	}
	first := s.list(ipc.List{Limit: 1})[0]
	if first.Listener != "web" || first.Phase != "open" || !first.Movable || first.TLS != (sealing != nil) || first.Local.String() != s.address ||
		first.Remote.String() != clients[first.ID-1].LocalAddr().String() {
		t.Errorf("it says %+v", first)
	}
	if first.AgeMS == nil || *first.AgeMS < 60_000 || *first.AgeMS > 60_000+patience.Milliseconds()*10 || first.IdleMS == nil {
		t.Errorf("age %v, idle %v, a minute after it was accepted", first.AgeMS, first.IdleMS)
	}
	if got := s.list(ipc.List{Limit: 10, Listener: "web"}); len(got) != 150 {
		t.Errorf("%d connections of their listener", len(got))
	}
	if got := s.list(ipc.List{Limit: 10, Listener: "other"}); len(got) != 0 {
		t.Errorf("%d connections of another listener", len(got))
	}
	if got := s.list(ipc.List{Limit: 10, Cursor: 1 << 63}); len(got) != 0 {
		t.Errorf("%d connections from beyond the last", len(got))
	}
	check(t, clients[149].Close())
	s.until(func() bool { return s.entry.Closed.Load() == 1 })
	if got := s.list(ipc.List{Limit: 10}); len(got) != 149 {
		t.Errorf("%d connections, one of 150 is closed", len(got))
	}
}

// about is a session with something to say of itself.
type about string

func (a about) Data(c *worker.Conn, in []byte) (int, error) { return c.Write(in) }
func (a about) About(*worker.Conn) string {
	if a == "" {
		panic("nothing to say")
	}
	return string(a)
}

// What a session says of itself is bounded, and a panic in it costs no connection.
func TestListSaysWhatSessionsSay(t *testing.T) {
	for _, test := range []struct{ says, want string }{
		{"on behalf of alice", "on behalf of alice"},
		{"", ""}, // it panics
		{strings.Repeat("\x01", 1000), strings.Repeat("\x01", ipc.MaxAbout)},
		{"a\xffb", "ab"},
		{strings.Repeat("a", ipc.MaxAbout-1) + "é", strings.Repeat("a", ipc.MaxAbout-1)},
	} {
		s := newRig(t, worker.OpenFunc(func(*worker.Conn) (worker.Session, error) { return about(test.says), nil }))
		c := s.connectAll(30)[0]
		for _, listed := range s.list(ipc.List{Limit: ipc.MaxListed}) {
			if listed.About != test.want || listed.Movable {
				t.Errorf("%.20q is listed as %.20q, movable: %t", test.says, listed.About, listed.Movable)
			}
		}
		c.send("again")
		c.expect("again")
	}
}

// Connections that the program has taken over are counted, and not described.
func TestListCountsStreams(t *testing.T) {
	if sealing != nil {
		t.Skip("streams have their own transports")
	}
	s := newRig(t, worker.Streams(func(l net.Listener) error { return acceptEach(l, streamEcho) }))
	c := s.connect()
	c.send("x")
	c.expect("x")
	s.tell(ipc.List{ID: 1, Limit: 10})
	if got := next[ipc.Listed](s); got.Unlisted != 1 || len(got.Connections) != 0 {
		t.Errorf("%+v, want one that is not listed", got)
	}
	check(t, c.Close())
	s.until(func() bool { return s.entry.Closed.Load() == 1 })
}
