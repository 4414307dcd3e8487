package worker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// garbler is a transport for tests alone. Whatever passes it is framed, so that lengths
// change, and each byte, those of the frames included, is garbled by a key that depends
// on its position in its direction: a byte that bypasses the transport, or comes twice,
// late or never, makes what follows it unreadable.
//
//	0  u8   kind
//	1  u16  length of the payload
//	3  u8   check: the sum of the payload's bytes and the frame's number
//	4       the payload
type garbler struct {
	client    bool // which of the two keys is whose
	in, out   garbled
	finished  bool // it has sent its end
	ended     bool // the peer has
	questions int  // answered
	answers   int  // that came
}

// garbled is how far one direction has come.
type garbled struct{ bytes, frames uint64 }

const (
	garbleData = iota + 1
	garbleEnd
	garbleQuestion // is answered by the transport
	garbleAnswer
	garbleHeader  = 4
	garblePayload = 997 // at most
)

var errGarbled = errors.New("garbled otherwise")

// garblers counts those that were made for workers, and thawed ones.
var garblers, garblersThawed atomic.Int64

// WithGarbler gives each connection of a loop a garbler, those that are dialled too:
// as the client.
func WithGarbler() Option {
	return func(o *options) {
		o.transports = transports{
			wrap: func(_ place, dialled bool) transport {
				garblers.Add(1)
				return &garbler{client: dialled}
			},
			thaw: func(state []byte) (transport, error) {
				garblersThawed.Add(1)
				return thawGarbler(state)
			},
		}
	}
}

// key garbles, and ungarbles, b, which is at that position of its direction.
func (g *garbler) key(b []byte, position uint64, inward bool) {
	seed := uint64(0x5bd1e995)
	if inward == g.client {
		seed = 0xc2b2ae35
	}
	for i := range b {
		x := (position + uint64(i) + seed) * 0x9e3779b97f4a7c15
		b[i] ^= byte(x>>56) ^ byte(x>>32)
	}
}

func sum(payload []byte, frame uint64) byte {
	n := byte(frame)
	for _, b := range payload {
		n += b
	}
	return n
}

func (g *garbler) decode(raw []byte, eof bool) (d decoded) {
	plain := 0
	for !g.ended && d.err == nil && len(raw)-d.used >= garbleHeader {
		var header [garbleHeader]byte
		copy(header[:], raw[d.used:])
		g.key(header[:], g.in.bytes, true)
		size := int(binary.LittleEndian.Uint16(header[1:]))
		if size > garblePayload {
			d.err = fmt.Errorf("%w: %d bytes in frame %d", errGarbled, size, g.in.frames)
			break
		}
		if len(raw)-d.used-garbleHeader < size {
			break
		}
		payload := raw[d.used+garbleHeader:][:size]
		g.key(payload, g.in.bytes+garbleHeader, true)
		if sum(payload, g.in.frames) != header[3] {
			d.err = fmt.Errorf("%w: frame %d", errGarbled, g.in.frames)
			break
		}
		d.used += garbleHeader + size
		g.in.bytes += uint64(garbleHeader + size)
		g.in.frames++
		switch header[0] {
		case garbleData:
			plain += copy(raw[plain:], payload)
		case garbleEnd:
			g.ended = true
		case garbleQuestion:
			g.questions++
			if !g.finished {
				d.reply = g.frame(d.reply, garbleAnswer, payload)
			}
		case garbleAnswer:
			g.answers++
		default:
			d.err = fmt.Errorf("%w: kind %d", errGarbled, header[0])
		}
	}
	d.plain, d.end = raw[:plain], g.ended
	if eof && !g.ended && d.used < len(raw) {
		d.err = fmt.Errorf("%w: cut in a frame: %w", errGarbled, io.ErrUnexpectedEOF)
	}
	return d
}

// frame appends one frame.
func (g *garbler) frame(dst []byte, kind byte, payload []byte) []byte {
	start := len(dst)
	dst = append(dst, kind)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(payload)))
	dst = append(append(dst, sum(payload, g.out.frames)), payload...)
	g.key(dst[start:], g.out.bytes, false)
	g.out.bytes += uint64(len(dst) - start)
	g.out.frames++
	return dst
}

func (g *garbler) encode(dst, plain []byte) []byte {
	for len(plain) > 0 {
		n := min(len(plain), 1+int(g.out.bytes%garblePayload))
		dst = g.frame(dst, garbleData, plain[:n])
		plain = plain[n:]
	}
	return dst
}

func (g *garbler) finish(dst []byte) []byte {
	if g.finished {
		return dst
	}
	g.finished = true
	return g.frame(dst, garbleEnd, nil)
}

func (g *garbler) fault() error { return nil }

func (g *garbler) freeze(dst []byte) []byte {
	for _, n := range []uint64{g.in.bytes, g.in.frames, g.out.bytes, g.out.frames, uint64(g.questions)} {
		dst = binary.LittleEndian.AppendUint64(dst, n)
	}
	flags := byte(0)
	for i, flag := range []bool{g.client, g.finished, g.ended} {
		if flag {
			flags |= 1 << i
		}
	}
	return append(dst, flags)
}

func thawGarbler(state []byte) (transport, error) {
	if len(state) != 41 {
		return nil, fmt.Errorf("%w: a state of %d bytes", errGarbled, len(state))
	}
	n := func(i int) uint64 { return binary.LittleEndian.Uint64(state[8*i:]) }
	flag := func(i int) bool { return state[40]>>i&1 != 0 }
	return &garbler{
		in: garbled{n(0), n(1)}, out: garbled{n(2), n(3)}, questions: int(n(4)),
		client: flag(0), finished: flag(1), ended: flag(2),
	}, nil
}

// Garblers returns how many were made, and thawed, since the test program began.
func Garblers() (made, thawed int64) { return garblers.Load(), garblersThawed.Load() }

// GarbledPeer is the other end of a connection with a garbler, for one goroutine that
// reads and others that write.
type GarbledPeer struct {
	net.Conn
	writing sync.Mutex
	g       garbler // reading uses in, writing out
	raw     []byte
	plain   []byte
}

// NewGarbledPeer is for the one that has dialled, or the one that has accepted.
func NewGarbledPeer(conn net.Conn, dialled bool) *GarbledPeer {
	return &GarbledPeer{Conn: conn, g: garbler{client: dialled}}
}

// Read is io.EOF at the other's end mark. Without one, the socket's end is an error.
func (c *GarbledPeer) Read(b []byte) (int, error) {
	for len(c.plain) == 0 {
		if c.g.ended {
			return 0, io.EOF
		}
		if err := c.fill(); err != nil && len(c.plain) == 0 {
			return 0, err
		}
	}
	n := copy(b, c.plain)
	c.plain = c.plain[n:]
	return n, nil
}

// fill reads once, into plain.
func (c *GarbledPeer) fill() error {
	buffer := make([]byte, 64<<10)
	n, err := c.Conn.Read(buffer)
	c.raw = append(c.raw, buffer[:n]...)
	d := c.g.decode(c.raw, n == 0 && err == io.EOF)
	c.plain, c.raw = append(c.plain, d.plain...), append([]byte(nil), c.raw[d.used:]...)
	switch {
	case d.err != nil:
		return d.err
	case err == io.EOF && !c.g.ended:
		return errNoEndMark
	case err == io.EOF:
		return nil
	}
	return err
}

var errNoEndMark = errors.New("the end, without the transport's mark")

// AwaitAnswer reads until the other transport has answered once more. What came before
// is for Read.
func (c *GarbledPeer) AwaitAnswer() error {
	for before := c.g.answers; c.g.answers == before; {
		if err := c.fill(); err != nil {
			return err
		}
	}
	return nil
}

func (c *GarbledPeer) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if _, err := c.Conn.Write(c.g.encode(nil, b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Raw returns what Write would send, for a test to send it in pieces.
func (c *GarbledPeer) Raw(b []byte) []byte { return c.g.encode(nil, b) }

// Ask sends a question, which the other transport answers.
func (c *GarbledPeer) Ask() error {
	_, err := c.Conn.Write(c.g.frame(nil, garbleQuestion, []byte("?")))
	return err
}

// Answers returns how many came, as far as was read.
func (c *GarbledPeer) Answers() int { return c.g.answers }

// End sends the transport's end mark, and no FIN.
func (c *GarbledPeer) End() error {
	_, err := c.Conn.Write(c.g.finish(nil))
	return err
}

func (c *GarbledPeer) CloseWrite() error {
	if err := c.End(); err != nil {
		return err
	}
	return c.Conn.(interface{ CloseWrite() error }).CloseWrite()
}

func (c *GarbledPeer) Close() error {
	if c.writing.TryLock() { // else a Write is under way, which this cuts short
		_ = c.End() // the peer may be gone
		c.writing.Unlock()
	}
	return c.Conn.Close()
}

func (c *GarbledPeer) SetLinger(seconds int) error {
	return c.Conn.(*net.TCPConn).SetLinger(seconds)
}

// RawEnd returns what End would send.
func (c *GarbledPeer) RawEnd() []byte { return c.g.finish(nil) }

// ErrGarbled is what a garbler makes of what it cannot read.
var ErrGarbled = errGarbled
