package worker

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// ErrShortFile: a file ended before what SendFile was to send of it.
var ErrShortFile = fmt.Errorf("worker: file too short: %w", io.ErrUnexpectedEOF)

var errFileRange = errors.New("worker: negative offset or size")

const (
	// fileChunk bounds one sendfile(2), and so how long a file that is not in the page
	// cache holds up the loop. It is about what a socket takes at a time: with less, the
	// client is woken for each piece, and the loop, too, since there is room at once.
	fileChunk = 2 << 20
	// maxFiles bounds the files that wait on one connection, a descriptor each.
	maxFiles = 16
)

// filePart is a part of a file that waits to be sent, and the output that was written
// after it:
//
//	unfinished.out ─► files[0] ─► files[0].after ─► files[1] ─► …
type filePart struct {
	fd     int // owned
	offset int64
	size   int64 // bytes that are left
	after  []byte
}

// SendFile sends n bytes of f from off on, in order with what is written, by
// sendfile(2): they are not copied into this process. It borrows f, which may be
// closed when it returns. The file's own offset does not matter.
//
// It does not wait for the peer: what the kernel does not take at once is sent as
// the peer reads, and until then the connection's input is paused, as by much
// output (see Write); at most 16 files wait so, and then SendFile returns ErrFull.
// For the disk it does wait, at most for 2 MiB at a time.
//
// A file that is too short now is refused with ErrShortFile, and nothing of it is
// sent. One that is cut while it is sent ends the connection with ErrShortFile,
// since the peer cannot be told otherwise. f must be a file that can be mapped, so
// not a pipe or a socket. Other errors: as Write. A connection with files that
// wait does not move.
func (c *Conn) SendFile(f *os.File, off, n int64) error {
	if !c.loop.here() {
		return c.loop.stray("Conn.SendFile")
	}
	if err := c.admit(0); err != nil {
		return err
	}
	if off < 0 || n < 0 {
		return fmt.Errorf("%w: %d bytes at %d", errFileRange, n, off)
	}
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("worker: send file: %w", err)
	}
	if off+n < 0 || off+n > info.Size() {
		return fmt.Errorf("%w: %d bytes at %d of %d", ErrShortFile, n, off, info.Size())
	}
	if n == 0 || c.loop.opening == c { // as in push: a moved connection has greeted its peer
		return nil
	}
	if c.loop.corked == c {
		c.loop.uncorkBefore()
		if err := c.admit(0); err != nil {
			return err
		}
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("worker: send file: %w", err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = c.sendFrom(int(fd), off, n) })
	return errors.Join(err, failed)
}

// sendFrom begins to send, and keeps what is left for later, with a duplicate of fd. It
// borrows fd.
func (c *Conn) sendFrom(fd int, off, n int64) error {
	o := filePart{fd: fd, offset: off, size: n}
	if !c.hasOutput() {
		if err := c.transmit(&o); err != nil {
			if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ESPIPE) {
				return fmt.Errorf("worker: send file: %w", err) // nothing was sent
			}
			c.fail(err)
			return err
		}
	}
	if o.size == 0 {
		return nil
	}
	u := c.addUnfinished()
	if len(u.files) == maxFiles {
		return fmt.Errorf("%w: %d files wait", ErrFull, maxFiles)
	}
	var err error
	if o.fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		err = os.NewSyscallError("fcntl", err)
		if o.size < n {
			c.fail(err) // the peer has a part of it
		}
		c.releaseUnfinished()
		return fmt.Errorf("worker: send file: %w", err)
	}
	u.files = append(u.files, o)
	c.state.hold(holdChoked)
	c.touch()
	return nil
}

// transmit sends one chunk, or what the kernel takes of it.
func (c *Conn) transmit(o *filePart) error {
	if c.state.is(traitWrapped) {
		return c.transmitWrapped(o)
	}
	for {
		sent, err := unix.Sendfile(int(c.fd), o.fd, &o.offset, int(min(o.size, fileChunk)))
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return nil
		case err != nil:
			return os.NewSyscallError("sendfile", err)
		case sent == 0:
			return fmt.Errorf("%w: %d bytes were left", ErrShortFile, o.size)
		default:
			c.loop.meter.sent(uintptr(sent))
			o.size -= int64(sent) // sendfile has moved the offset
			c.progressed()
			return nil
		}
	}
}

// flushFile sends a chunk of the first file, now that all before it is sent. After the
// last chunk, what was written behind the file becomes the connection's output.
func (c *Conn) flushFile() {
	u := c.unfinished
	o := &u.files[0]
	if err := c.transmit(o); err != nil {
		c.fail(err)
		return
	}
	if o.size > 0 {
		return
	}
	_ = unix.Close(o.fd) // it was only read
	after := o.after
	u.files = u.files[1:]
	if len(u.files) == 0 {
		u.files = nil
	}
	if !c.state.is(traitWrapped) {
		u.out = after
		return
	}
	_ = c.encode(after, nil) // the connection remembers an error
	c.loop.buffers.Put(after)
}

// dropFiles closes the files that wait, and forgets what was written after them.
func (c *Conn) dropFiles() {
	if c.unfinished == nil {
		return
	}
	for _, o := range c.unfinished.files {
		_ = unix.Close(o.fd) // it was only read
		c.loop.buffers.Put(o.after)
	}
	c.unfinished.files = nil
}

// unsent returns how many bytes wait, those in files included.
func (c *Conn) unsent() int {
	n := c.buffered()
	if c.unfinished != nil {
		for _, o := range c.unfinished.files {
			n += int(o.size)
		}
	}
	return n
}
