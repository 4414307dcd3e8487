package ipc

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/usher-go/usher/fdpass"
)

// A state goes with its connection from one worker to another, through a master that only
// passes it on, and nothing is left open.
func TestLargeState(t *testing.T) {
	a, b := queue(t)
	for _, size := range []int{1, MaxState + 1, 1 << 20, 20 << 20} {
		state := bytes.Repeat([]byte("0123456789abcde"), size/15+1)[:size]
		memfd, err := SealState(state)
		if err != nil {
			t.Fatal(err)
		}
		var c PacketConn
		var sent, batch, out, got Packet
		if !sent.AddLarge(&Envelope{ID: 7, Listener: "web"}, null(t), memfd) {
			t.Fatal("an empty packet takes none")
		}
		if err := c.Send(a, &sent); err != nil || sent.Len() != 0 || sent.Large() {
			t.Fatalf("%d left, large: %v; %v", sent.Len(), sent.Large(), err)
		}
		if err := c.Receive(b, &batch); err != nil || batch.Len() != 1 || !batch.Large() || !batch.Frozen(0) {
			t.Fatalf("%d connections, large: %v; %v", batch.Len(), batch.Large(), err)
		}
		if !out.AddFrom(&batch, 0) {
			t.Fatal("it cannot be passed on")
		}
		if err := c.Send(b, &out); err != nil {
			t.Fatal(err)
		}
		batch.Forget(0)
		batch.Close() // nothing: the send has closed it
		if err := c.Receive(a, &got); err != nil || got.ID(0) != 7 {
			t.Fatalf("id %d, %v", got.ID(0), err)
		}
		fd := got.TakeState()
		back, err := ReadState(fd)
		if err != nil || !bytes.Equal(back, state) {
			t.Errorf("%d bytes became %d, %v", size, len(back), err)
		}
		if got.TakeState() != -1 {
			t.Error("it can be taken twice")
		}
		fdpass.CloseAll([]int{fd})
		got.Close()
	}
}

// A large packet is alone in its packet.
func TestLargeIsAlone(t *testing.T) {
	var large, small, p Packet
	large.AddLarge(&Envelope{ID: 1}, 5, 6)
	small.Add(&Envelope{ID: 2}, 7)
	for name, added := range map[string]bool{
		"Add to a large one":          large.Add(&Envelope{ID: 3}, 8),
		"AddLarge to a large one":     large.AddLarge(&Envelope{ID: 3}, 8, 9),
		"AddFrom to a large one":      large.AddFrom(&small, 0),
		"AddLarge to one with others": small.AddLarge(&Envelope{ID: 3}, 8, 9),
		"AddFrom to one with others":  small.AddFrom(&large, 0),
	} {
		if added {
			t.Errorf("%s: true", name)
		}
	}
	if !slices.Equal(large.Descriptors(), []int{5, 6}) || !slices.Equal(small.Descriptors(), []int{7}) {
		t.Errorf("descriptors %v and %v", large.Descriptors(), small.Descriptors())
	}
	if large.Reset(); !large.AddFrom(&small, 0) || large.Large() {
		t.Error("a large packet used again stays large")
	}
	if p.TakeState() != -1 || small.TakeState() != -1 {
		t.Error("a packet that is not large has a state to take")
	}
}

func TestReceiveWrongLargePackets(t *testing.T) {
	good := encodedLarge(Envelope{ID: 1})
	both := encoded(t, Envelope{ID: 1, State: []byte("state")})
	both[1] = byte(KindLarge)
	two := encoded(t, Envelope{ID: 1}, Envelope{ID: 2})
	two[1] = byte(KindLarge)
	tests := []struct {
		name   string
		packet []byte
		fds    int
		want   error
	}{
		{"no descriptor", good, 0, fdpass.ErrMissing},
		{"one descriptor", good, 1, fdpass.ErrMissing},
		{"three descriptors", good, 3, fdpass.ErrSurplus},
		{"two envelopes", two, 2, ErrMalformed},
		{"no envelope", change(good, 2, 0), 2, ErrMalformed},
		{"a state in the envelope too", both, 2, ErrMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, b := queue(t)
			post(t, a, test.packet, test.fds)
			var c PacketConn
			var p Packet
			if err := c.Receive(b, &p); !errors.Is(err, test.want) || p.Len() != 0 || p.Large() {
				t.Errorf("got %d connections, large: %v, %v; want %v", p.Len(), p.Large(), err, test.want)
			}
		})
	}
}

// Drop closes both descriptors; queue compares.
func TestDropLarge(t *testing.T) {
	queue(t)
	var p Packet
	p.AddLarge(&Envelope{ID: 1}, null(t), null(t))
	p.Drop(0)
	p.Reset()
}

// What a sender passes in place of a state is its fault: what of that fdpass can tell,
// and what is no state.
func TestReadStateRefuses(t *testing.T) {
	queue(t)
	sealed := func(size int) int {
		t.Helper()
		fd, err := fdpass.Seal("test", make([]byte, size))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { fdpass.CloseAll([]int{fd}) })
		return fd
	}
	shared, err := fdpass.Share("test", 10)
	if err != nil {
		t.Fatal(err)
	}
	device := null(t)
	t.Cleanup(func() { fdpass.CloseAll([]int{shared, device}) })
	tests := []struct {
		name string
		fd   int
		want string
	}{
		{"a device", device, "no memfd"},
		{"one that can be written", shared, "seals"},
		{"an empty one", sealed(0), "0 bytes"},
		{"one too large", sealed(MaxLargeState + 1), "67108865 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			state, err := ReadState(test.fd)
			if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), test.want) || state != nil {
				t.Errorf("got %d bytes and %v, want malformed: …%s", len(state), err, test.want)
			}
		})
	}
	if _, err := ReadState(-1); err == nil || errors.Is(err, ErrMalformed) {
		t.Errorf("no descriptor: %v, which is nobody's fault but the reader's", err)
	}
	if state, err := ReadState(sealed(MaxLargeState)); len(state) != MaxLargeState || err != nil {
		t.Errorf("the longest: %d bytes, %v", len(state), err)
	}
}

// What is no state is not sealed, and leaves nothing behind.
func TestSealStateFails(t *testing.T) {
	queue(t)
	for _, size := range []int{0, MaxLargeState + 1} {
		if fd, err := SealState(make([]byte, size)); fd != -1 || err == nil {
			t.Errorf("%d bytes: descriptor %d, %v", size, fd, err)
		}
	}
}
