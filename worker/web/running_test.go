package web

import (
	"testing"
	"time"
)

func TestRunning(t *testing.T) {
	var r running
	if start, refuse := r.enter(new(exchange), 1); !start || refuse {
		t.Fatal("the first does not start")
	}
	all := make([]exchange, maxWaiting+1)
	for i := range maxWaiting {
		if start, refuse := r.enter(&all[i], 1); start || refuse {
			t.Fatalf("%d: %v, %v", i, start, refuse)
		}
	}
	if _, refuse := r.enter(&all[maxWaiting], 1); !refuse {
		t.Error("one too many waits")
	}
	if !r.giveUp(&all[0]) || r.giveUp(&all[0]) {
		t.Error("it gives up, once")
	}
	for i := 1; i < maxWaiting; i++ {
		if next := r.leave(); next != &all[i] {
			t.Fatalf("%d is not next", i)
		}
	}
	if next := r.leave(); next != nil {
		t.Error("one that has given up is next")
	}
	if start, _ := r.enter(new(exchange), 1); !start || r.n != 1 {
		t.Error("there is no room again")
	}
}

func TestFrozen(t *testing.T) {
	s := Handler(nil).(*server)
	for before := range s.idle {
		state, err := s.idle[before].MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		session, err := (&thawed{server: s}).thaw(state)
		if err != nil || session != &s.idle[before] {
			t.Errorf("%d: %v, %v", before, session, err)
		}
	}
	state, err := (&heading{server: s, before: aPost, due: time.Now()}).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	session, err := (&thawed{server: s}).thaw(state)
	if h, ok := session.(*heading); err != nil || !ok || h.before != aPost {
		t.Errorf("%v, %v", session, err)
	}
	for _, bad := range []string{"\x00", "\x04", "\x03", "\x03\x09", "\x03\x01abc", "\x01\x01"} {
		if _, err := (&thawed{server: s}).thaw([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
