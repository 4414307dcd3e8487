package worker_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"pgregory.net/rapid"
)

func TestEchoOfOddFragments(t *testing.T) {
	s := newRig(t, worker.DataFunc(echo))
	random := rand.NewChaCha8([32]byte{1})
	sent := make([]byte, 3<<20+7)
	_, _ = random.Read(sent) // it never fails
	sizes := rand.New(random)

	c := s.connect()
	go func() {
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), 1+sizes.IntN(100_000))
			if _, err := c.Write(rest[:n]); err != nil {
				t.Error(err)
				return
			}
			rest = rest[n:]
		}
		c.closeWrite()
	}()
	// The reader takes odd bits, and is behind all the way.
	var got bytes.Buffer
	buffer := make([]byte, 777)
	for {
		n, err := c.Read(buffer)
		got.Write(buffer[:n])
		if err == io.EOF {
			break
		}
		check(t, err)
	}
	if !bytes.Equal(got.Bytes(), sent) {
		t.Fatalf("%d bytes came back of %d, or not the same", got.Len(), len(sent))
	}
}

// Any input in any fragments, to a handler that consumes any part of it and
// answers in any pieces, comes back as it was.
func TestEchoProperty(t *testing.T) {
	var holdsBack, pieces atomic.Int64
	s := newRig(t, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		consume, piece := max(0, len(in)-int(holdsBack.Load())), int(pieces.Load())
		for part := in[:consume]; len(part) > 0; {
			n := min(piece, len(part))
			if _, err := c.Write(part[:n]); err != nil {
				return 0, err
			}
			part = part[n:]
		}
		return consume, nil
	}))
	rapid.Check(t, func(rt *rapid.T) {
		holdBack := rapid.IntRange(0, 3).Draw(rt, "hold back")
		piece := rapid.SampledFrom([]int{1, 10, 1000, 20_000, 100_000}).Draw(rt, "piece")
		fragments := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) []byte {
			size := rapid.OneOf(rapid.IntRange(1, 20), rapid.IntRange(1, 70_000)).Draw(rt, "size")
			return bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(rt, "bytes"), size/8+1)
		}), 1, 8).Draw(rt, "fragments")
		holdsBack.Store(int64(holdBack))
		pieces.Store(int64(piece))

		sent := bytes.Join(fragments, nil)
		c := s.connect()
		defer c.Close()
		go func() {
			for _, fragment := range fragments {
				if _, err := c.Write(fragment); err != nil {
					return // the reader's error says more
				}
			}
		}()
		got := make([]byte, max(0, len(sent)-holdBack))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent[:len(got)]) {
			rt.Fatalf("%v, or not the same", err)
		}
	})
}

func TestBytesOfAllValues(t *testing.T) {
	s := newRig(t, worker.DataFunc(echo))
	c := s.connect()
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	c.send("\x00")
	c.expect("\x00")
	c.send(string(all[:]))
	c.expect(string(all[:]))
}

func TestConnTellsWhoItIs(t *testing.T) {
	type facts struct {
		id            uint64
		listener      string
		remote, local string
	}
	seen := make(chan facts, 1)
	s := newRig(t, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		seen <- facts{c.ID(), c.Listener(), c.RemoteAddr().String(), c.LocalAddr().String()}
		return len(in), nil
	}))
	c := s.connect()
	c.send("?")
	want := facts{1, "web", c.LocalAddr().String(), s.address}
	if got := await(t, seen); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// On a listener for all addresses the connection's own is asked of the kernel,
// and a connection of a dual-stack one has an IPv4 address.
func TestLocalAddrOfUnspecifiedListener(t *testing.T) {
	seen := make(chan netip.AddrPort, 1)
	s := newRig(t, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		seen <- c.LocalAddr()
		return len(in), nil
	}))
	for _, local := range []string{"0.0.0.0:0", "[::]:0"} {
		c, fd := s.accept()
		s.packet.Reset()
		s.packet.Add(&ipc.Envelope{ID: 1, Local: netip.MustParseAddrPort(local)}, fd)
		check(t, s.packets.Send(s.queue, &s.packet))
		c.send("?")
		if got := await(t, seen); got.String() != s.address {
			t.Errorf("listener %s: got %s, want %s", local, got, s.address)
		}
	}
}

func TestUnixSocket(t *testing.T) {
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
		if c.RemoteAddr().IsValid() || c.LocalAddr().IsValid() {
			return 0, errTest
		}
		return c.Write(in)
	})
	s := newRig(t, h)
	c := s.connectUnix()
	c.send("x")
	c.expect("x")
	check(t, c.Close())
	h.expectClose(t, nil)
}
