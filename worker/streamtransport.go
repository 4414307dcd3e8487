package worker

import (
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// transportConn is what Accept of a Streams listener returns for a connection with a
// transport: the program reads and writes plain bytes, and its socket has raw ones. Any
// goroutine may use it, one reading while another writes. Of the methods that only a
// socket has it has CloseWrite alone: others would pass bytes by the transport.
//
// It has three locks, which are taken in this order:
//
//	reading   held by Read, also while the socket has nothing to read
//	writing   held by whoever writes to the socket, also while that is full: it keeps
//	          the order of units
//	coding    held to decode or encode, never while anything is waited for
type transportConn struct {
	net.Conn // the socket

	reading sync.Mutex
	buffer  []byte // of which raw and plain may be parts
	raw     []byte // what was read and is not decoded
	plain   []byte // what the program is to read
	end     error  // what Read returns after that, or nil: the socket is to be read

	writing  sync.Mutex
	wire     []byte // scratch space
	finished bool   // by CloseWrite or Close
	broken   error  // of the first write that failed: a unit may be cut, so none may follow

	coding    sync.Mutex
	transport transport
	owed      []byte // replies of decode, to be written before anything encoded later
}

// streamBuffer is how many bytes can be read at a time, at least.
const streamBuffer = 16 << 10

// closeNotice is how long Close waits for a peer that does not read to take the end
// mark; Close of crypto/tls waits as long.
const closeNotice = 5 * time.Second

func newTransportConn(conn net.Conn, t transport) *transportConn {
	return &transportConn{Conn: conn, transport: t}
}

// Read reads plain bytes. Its error is io.EOF at the end that the transport tells of, or
// the socket's.
func (c *transportConn) Read(b []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	for len(c.plain) == 0 {
		if c.end != nil || len(b) == 0 {
			return 0, c.end
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(b, c.plain)
	c.plain = c.plain[n:]
	return n, nil
}

// fill reads and decodes once. Its error may pass, as a deadline's does; one that does not
// is in c.end. The caller holds reading.
func (c *transportConn) fill() error {
	if c.buffer == nil {
		c.buffer = make([]byte, maxUnit+streamBuffer)
	}
	have := copy(c.buffer, c.raw)
	n, err := c.Conn.Read(c.buffer[have:])
	eof := n == 0 && err == io.EOF
	c.raw = c.buffer[:have+n]
	if n == 0 && !eof {
		return err
	}
	c.coding.Lock()
	d := c.transport.decode(c.raw, eof)
	c.owed = append(c.owed, d.reply...)
	c.coding.Unlock()
	c.plain, c.raw = d.plain, c.raw[d.used:]
	switch {
	case d.err != nil:
		c.end = d.err
	case d.end || eof:
		c.end = io.EOF
	case len(c.raw) > maxUnit:
		c.end = errUnitSize
	}
	c.sendOwed()
	return nil
}

// Write encodes b and writes it. After an error every further Write fails: the peer may
// have a part of a unit.
func (c *transportConn) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.unlockWriting()
	if c.finished && c.broken == nil {
		return 0, &net.OpError{Op: "write", Net: c.LocalAddr().Network(), Err: net.ErrClosed}
	}
	sent := 0
	for piece := range slices.Chunk(b, encodeChunk) {
		if err := c.put(func(dst []byte) []byte { return c.transport.encode(dst, piece) }); err != nil {
			return sent, err
		}
		sent += len(piece)
	}
	return sent, nil
}

// put writes what is owed, and then what more appends. The caller holds writing.
func (c *transportConn) put(more func(dst []byte) []byte) error {
	if c.broken != nil {
		return c.broken
	}
	c.coding.Lock()
	c.wire = more(append(c.wire[:0], c.owed...))
	c.owed = c.owed[:0]
	c.coding.Unlock()
	if len(c.wire) > 0 {
		_, c.broken = c.Conn.Write(c.wire)
	}
	return c.broken
}

// sendOwed has what is owed written: here, or by the goroutine that holds writing.
func (c *transportConn) sendOwed() {
	if c.owes() && c.writing.TryLock() {
		c.unlockWriting()
	}
}

// unlockWriting unlocks writing, and sees to it that what is owed is written: what comes
// to be owed before the unlocking is found here, and what comes after it by sendOwed.
func (c *transportConn) unlockWriting() {
	for {
		if c.owes() && c.broken == nil {
			_ = c.put(func(dst []byte) []byte { return dst }) // the next write returns the error
		}
		broken := c.broken != nil
		c.writing.Unlock()
		if broken || !c.owes() || !c.writing.TryLock() {
			return
		}
	}
}

// owes reports whether replies wait to be written.
func (c *transportConn) owes() bool {
	c.coding.Lock()
	defer c.coding.Unlock()
	return len(c.owed) > 0
}

// CloseWrite tells the peer that no more comes: by the transport's end mark, then by FIN.
func (c *transportConn) CloseWrite() error {
	c.writing.Lock()
	defer c.unlockWriting()
	if err := c.finish(); err != nil {
		return err
	}
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// finish writes the transport's end mark. The caller holds writing.
func (c *transportConn) finish() error {
	c.finished = true
	return c.put(c.transport.finish)
}

// Close writes the end mark, unless a Write is under way, and closes the socket.
func (c *transportConn) Close() error {
	if c.writing.TryLock() {
		if !c.finished && c.SetWriteDeadline(time.Now().Add(closeNotice)) == nil {
			_ = c.finish() // the peer may be gone
		}
		c.writing.Unlock()
	}
	return c.Conn.Close()
}
