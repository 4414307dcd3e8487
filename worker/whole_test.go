package worker_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/framing"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// whole is a handler whose sessions answer each frame in one of several ways,
// at once or later, here or in the next worker. Whichever they are, and however
// the input comes, the answers must be those to the whole input.
type whole struct {
	protocol protocol
	ways     []way // of the frames in turn
	repeat   int   // how often a frame stands in its answer
	piece    int   // the answer is written in pieces of so many bytes
}

type protocol struct {
	split  bufio.SplitFunc
	encode func(frame []byte) []byte
	plain  bool // an answer is the frame and nothing else
}

var protocols = map[string]protocol{
	"lines": {framing.Lines(64), func(frame []byte) []byte { return append(frame, '\n') }, false},
	"frames": {framing.Prefixed(2, binary.BigEndian, 64), func(frame []byte) []byte {
		return append(binary.BigEndian.AppendUint16(nil, uint16(len(frame))), frame...)
	}, false},
	"echo": {func(in []byte, _ bool) (int, []byte, error) {
		n := min(len(in), 50)
		return n, in[:n], nil
	}, slices.Clone[[]byte], true},
}

// way is how a frame is answered.
type way string

const (
	atOnce way = "at once"
	pause  way = "at once, then a pause"
	timer  way = "by After, in a pause"
	post   way = "by Post, in a pause"
	work   way = "by Go"
)

// answer is that to frame number n.
func (w *whole) answer(n uint32, frame []byte) (answer []byte) {
	if w.protocol.plain {
		return slices.Clone(frame)
	}
	answer = fmt.Appendf(nil, "%d %d ", n, len(frame))
	for range w.repeat {
		answer = append(answer, frame...)
	}
	return append(answer, '\n')
}

// want is the answer to the whole of in: it knows no worker.
func (w *whole) want(in []byte) (want []byte) {
	for n := uint32(0); len(in) > 0; n++ {
		size, frame, err := w.protocol.split(in, true)
		if err != nil {
			return want
		}
		want = append(want, w.answer(n, frame)...)
		in = in[size:]
	}
	return want
}

// part is a session of whole.
type part struct {
	*whole
	c     *worker.Conn
	n     uint32 // the next frame's number
	later bool   // owed is to be written, and then the connection goes on
	eof   bool
	owed  []byte
}

func (w *whole) Open(c *worker.Conn) (worker.Session, error) { return &part{whole: w, c: c}, nil }

func (p *part) Data(c *worker.Conn, in []byte) (int, error) {
	return framing.Each(c, in, p.protocol.split, p.frame)
}

func (p *part) EOF(c *worker.Conn, rest []byte) error {
	if p.eof {
		return p.write([]byte("a second end")) // which is not wanted
	}
	p.eof = true
	if err := framing.Last(c, rest, p.protocol.split, p.frame); err != nil || p.later {
		return err
	}
	return c.Close()
}

func (p *part) frame(c *worker.Conn, frame []byte) error {
	answer, how := p.answer(p.n, frame), p.ways[int(p.n)%len(p.ways)]
	p.n++
	switch p.later = how != atOnce; how {
	case atOnce:
		return p.write(answer)
	case pause:
		c.Pause()
		c.After(time.Millisecond, p.goOn)
		return p.write(answer)
	case timer:
		p.owed = answer
		c.Pause()
		c.After(0, p.goOn)
	case post:
		p.owed = answer
		c.Pause()
		go c.Post(func(*worker.Conn) { p.goOn() }) // in vain if it has moved, or ended
	case work:
		c.Go(func() { runtime.Gosched(); p.owed = answer }, p.goOn)
	}
	return nil
}

// goOn writes what is owed, and goes on.
func (p *part) goOn() {
	if p.write(p.owed) != nil {
		return // the connection is ending
	}
	p.later, p.owed = false, nil
	if p.eof {
		_ = p.c.Close() // nothing else closes it
		return
	}
	p.c.Resume()
}

func (p *part) write(b []byte) error {
	for piece := range slices.Chunk(b, p.piece) {
		if _, err := p.c.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

func (p *part) MarshalBinary() ([]byte, error) {
	state := binary.BigEndian.AppendUint32(nil, p.n)
	state = append(state, 0)
	if p.later {
		state[4] |= 1
	}
	if p.eof {
		state[4] |= 2
	}
	return append(state, p.owed...), nil
}

func (p *part) UnmarshalBinary(state []byte) error {
	p.n, p.later, p.eof = binary.BigEndian.Uint32(state), state[4]&1 != 0, state[4]&2 != 0
	p.owed = slices.Clone(state[5:])
	if p.later {
		p.c.After(0, p.goOn)
	}
	return nil
}

// script is what a client, and the master, do beside it.
type script struct {
	fragments [][]byte
	buffers   int // the kernel's, in bytes; 0: as they are
	readFrom  int // the client reads once for each fragment from this one on, and all at the end
	readSize  int // at most so many bytes at a time
	drain     int // before which fragment the worker is to drain, the end counts as one; beyond: not at all
	move      int // likewise, to drain by moving
}

// Any input, cut in any way, has the same answers as the whole of it, whatever
// happens to the connection on its way.
func TestAnyWayIsTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.SampledFrom(slices.Sorted(maps.Keys(protocols))).Draw(rt, "protocol")
		w := &whole{
			protocol: protocols[name],
			ways:     rapid.SliceOfN(rapid.SampledFrom([]way{atOnce, pause, timer, post, work}), 1, 8).Draw(rt, "ways"),
			repeat:   rapid.SampledFrom([]int{1, 10, 200, 2000}).Draw(rt, "repeat"),
			piece:    rapid.SampledFrom([]int{1, 7, 1000, 20_000, 1 << 20}).Draw(rt, "piece"),
		}
		if w.piece < 100 {
			w.repeat = min(w.repeat, 10)
		}
		in := drawInput(rt, w.protocol)
		sc := script{
			buffers:  rapid.SampledFrom([]int{0, 4 << 10, narrow}).Draw(rt, "buffers"),
			readSize: rapid.SampledFrom([]int{10, 1000, 4000, 1 << 16}).Draw(rt, "read size"),
		}
		sc.fragments = drawFragments(rt, in)
		sc.readFrom = rapid.IntRange(0, len(sc.fragments)).Draw(rt, "read from")
		sc.drain = rapid.IntRange(0, 2*len(sc.fragments)).Draw(rt, "drain")
		sc.move = rapid.IntRange(0, 2*len(sc.fragments)).Draw(rt, "move")

		want := w.want(in)
		got := w.play(drawn{t, rt}, sc)
		if string(got) != string(want) {
			rt.Fatalf("%d bytes of answers to %q, want %d; they differ from byte %d on:\n%.300q\n%.300q", len(got), in, len(want), differAt(got, want), got, want)
		}
	})
}

func differAt(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// drawInput draws some frames, and some bytes that may be anything behind them.
func drawInput(t *rapid.T, p protocol) (in []byte) {
	bytesOf := func(most int) *rapid.Generator[[]byte] {
		return rapid.SliceOfN(rapid.SampledFrom([]byte("abc\x00\x02\r\n")), 0, most)
	}
	for _, frame := range rapid.SliceOfN(bytesOf(64), 0, 20).Draw(t, "frames") {
		in = append(in, p.encode(frame)...)
	}
	return append(in, bytesOf(70).Draw(t, "tail")...)
}

func drawFragments(t *rapid.T, in []byte) (fragments [][]byte) {
	cuts := rapid.SliceOfN(rapid.IntRange(0, len(in)), 0, 20).Draw(t, "cuts")
	slices.Sort(cuts)
	at := 0
	for _, cut := range append(cuts, len(in)) {
		fragments = append(fragments, in[at:cut])
		at = cut
	}
	return fragments
}

// drawn is a testing.TB that ends with one case of a property.
type drawn struct {
	testing.TB
	rt *rapid.T
}

func (d drawn) Cleanup(f func())                  { d.rt.Cleanup(f) }
func (d drawn) Error(args ...any)                 { d.rt.Error(args...) }
func (d drawn) Errorf(format string, args ...any) { d.rt.Errorf(format, args...) }
func (d drawn) Fatal(args ...any)                 { d.rt.Fatal(args...) }
func (d drawn) Fatalf(format string, args ...any) { d.rt.Fatalf(format, args...) }

// play returns what the client receives.
func (w *whole) play(t testing.TB, sc script) []byte {
	old := newRig(t, w)
	var next *rig
	if sc.move <= len(sc.fragments) {
		next = newRig(t, w) // now, so that it does not hold up the client later
	}
	moved := make(chan error, 1)
	var c *client
	if sc.buffers == 0 {
		c = old.connect()
	} else {
		c = old.connectBuffered(sc.buffers)
	}
	mayRead, received := make(chan struct{}, len(sc.fragments)+1), make(chan []byte, 1)
	go func() {
		var got []byte
		buffer := make([]byte, sc.readSize)
		for {
			<-mayRead
			n, err := c.Read(buffer)
			got = append(got, buffer[:n]...)
			if err != nil {
				if err != io.EOF {
					t.Error(err)
				}
				received <- got
				return
			}
		}
	}()
	for i := range len(sc.fragments) + 1 {
		if i == len(sc.fragments) {
			c.closeWrite()
		}
		if i == sc.drain {
			old.tell(ipc.Drain{Mode: ipc.DrainFinish})
		}
		if i == sc.move {
			go func() { moved <- old.routeAll(next) }()
			old.tell(ipc.Drain{Mode: ipc.DrainMove})
		}
		if i >= sc.readFrom {
			mayRead <- struct{}{}
		}
		if i < len(sc.fragments) {
			_, err := c.Write(sc.fragments[i])
			check(t, err)
			runtime.Gosched() // so that fragments come apart, sometimes
		}
	}
	close(mayRead)
	got := <-received
	check(t, c.Close())
	if next != nil {
		check(t, await(t, moved))
	}
	return got
}

// routeAll is route until the worker has ended.
func (s *rig) routeAll(to *rig) error {
	var packet ipc.Packet
	for {
		err := whenReady(s.queue, unix.POLLIN, func() error { return s.packets.Receive(s.queue, &packet) })
		if errors.Is(err, fdpass.ErrPeerClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		s.back += uint64(packet.Len())
		err = whenReady(to.queue, unix.POLLOUT, func() error { return to.packets.Send(to.queue, &packet) })
		if err != nil {
			return err
		}
	}
}

// whenReady calls do until it does not block any more.
func whenReady(fd int, events int16, do func() error) error {
	for {
		err := do()
		if !errors.Is(err, fdpass.ErrWouldBlock) {
			return err
		}
		poll := []unix.PollFd{{Fd: int32(fd), Events: events}}
		if ready, err := unix.Poll(poll, int(patience.Milliseconds())); err != nil && err != unix.EINTR {
			return err
		} else if ready == 0 {
			return os.ErrDeadlineExceeded
		}
	}
}
