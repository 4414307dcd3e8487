package worker

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"github.com/usher-go/usher/internal/proxyheader"
	"github.com/usher-go/usher/internal/tlshandshake"
	"golang.org/x/sys/unix"
)

// streamPassage is what a connection of streams goes through before Accept, if its bytes
// pass something (transports.go): on a goroutine of its own, which blocks, its PROXY header is
// read, and crypto/tls does its handshake; that shares with the loop's the places for those
// that compute. The socket's deadline ends both, or its close. The times are those of
// handshaking.go.
type streamPassage struct {
	stream *stream
	loop   *loop // of which only what is for any goroutine is used
	begun  time.Time
	socket socket
	peer   netip.AddrPort // the client, as far as it is known
}

// pass begins the passage of a connection, on the loop's goroutine.
func (s *streams) pass(c *stream) {
	s.passing.add(c)
	if !c.listener.expect(c) {
		s.passing.remove(c)
		return
	}
	w := &streamPassage{stream: c, loop: s.member.loop, begun: time.Now(), peer: c.remote}
	s.passing.goroutines.Go(func() {
		defer s.passing.remove(c)
		w.run()
	})
}

func (w *streamPassage) run() {
	c := w.stream
	var err error
	if w.socket, err = c.open(); err != nil {
		c.listener.failed(c)
		w.loop.log.Debug("connection refused", "conn", c.id, "peer", c.remote, "error", err)
		return
	}
	conn, refused := w.through()
	if refused != nil {
		w.refuse(refused)
		return
	}
	secure, _ := conn.(*tls.Conn)
	resumed := secure != nil && secure.ConnectionState().DidResume
	switch {
	case !c.listener.passed(c, conn, secure):
		_ = conn.Close() // the peer may be gone
	case secure != nil:
		w.loop.refusals.shook(resumed)
	}
}

// through goes through the passage, and returns what it leads to.
func (w *streamPassage) through() (conn net.Conn, refused *refusal) {
	passage, all := w.stream.passage, &w.loop.transports
	conn = w.socket
	if passage.proxied {
		if !passage.trusts(w.stream.remote.Addr()) {
			return nil, &refusedUntrusted
		}
		w.setDeadline(min(headerTime, all.handshakeTime))
		proxy, refused := w.readHeader()
		if refused != nil {
			return nil, refused
		}
		if !proxy.Local {
			w.peer = proxy.Source
		}
		conn = proxied(w.socket, proxy)
	}
	if passage.config != nil {
		w.setDeadline(all.handshakeTime)
		if _, err := w.peek(make([]byte, 1)); err != nil { // so that it costs little until then
			return nil, refusedBefore(err, refusedGone, refusedTimeout)
		}
		secure, err := all.pool.Serve(conn, passage.config, w.waits)
		if err != nil {
			return nil, refusedServe(err)
		}
		conn = secure
	}
	_ = w.socket.SetDeadline(time.Time{}) // it fails for one that is closed, which the program will see
	return conn, nil
}

// setDeadline ends all waiting when d has passed since the beginning. It fails only for a
// socket that is closed, for which all else fails as well.
func (w *streamPassage) setDeadline(d time.Duration) { _ = w.socket.SetDeadline(w.begun.Add(d)) }

// waits says whether w waits for its peer. If too many do, the oldest is closed.
func (w *streamPassage) waits(yes bool) {
	c := w.stream.listener.streams.passing.wait(w.stream, yes)
	if c == nil {
		return
	}
	c.listener.mu.Lock()
	dropped := c.drop() // else its passage has just ended
	c.listener.mu.Unlock()
	if dropped {
		w.loop.refusals.note(c.id, c.remote, c.name, refusedCrowd)
	}
}

// readHeader reads the PROXY header, and nothing of what follows it: so what the program gets
// is the socket itself.
func (w *streamPassage) readHeader() (*Proxy, *refusal) {
	buffer, have := make([]byte, headerBuffer), 0
	for {
		if have == len(buffer) {
			buffer = append(buffer, make([]byte, proxyheader.MaxV2-have)...)
		}
		came, err := w.peek(buffer[have:])
		if err != nil {
			return nil, refusedBefore(err, refusedNoHeader, refusedLate)
		}
		length, err := proxyheader.Length(buffer[:have+came])
		if err != nil {
			r := refusedHeader(err)
			return nil, &r
		}
		if length > 0 { // else all that has come is the header's
			came = length - have
		}
		if _, err := io.ReadFull(w.socket, buffer[have:have+came]); err != nil {
			return nil, refusedBefore(err, refusedNoHeader, refusedLate)
		}
		have += came
		if length == 0 {
			continue
		}
		header, err := proxyheader.Parse(buffer[:length])
		if err != nil {
			r := refusedHeader(err)
			return nil, &r
		}
		return newProxy(&header), nil
	}
}

// headerBuffer is enough for any header without many TLVs.
const headerBuffer = 256

// peek waits for input and returns the beginning of it, which is not read by that. Its
// error is io.EOF at the end.
func (w *streamPassage) peek(b []byte) (n int, err error) {
	raw, err := w.socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	w.waits(true)
	defer w.waits(false)
	var errno syscall.Errno
	err = raw.Read(func(fd uintptr) (ready bool) {
		n, errno = peek(fd, b)
		return errno != unix.EAGAIN
	})
	switch {
	case err != nil:
		return 0, err
	case errno != 0:
		return 0, os.NewSyscallError("recvfrom", errno)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// peek is recv(2) of what is read again next. It borrows fd.
func peek(fd uintptr, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_PEEK, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// refusedBefore refuses one from which something was still to come: its peer has gone, by
// err, or it is late.
func refusedBefore(err error, gone, late refusal) *refusal {
	r := gone
	if errors.Is(err, os.ErrDeadlineExceeded) {
		r = late
	} else if err != io.EOF {
		r.err = err
	}
	return &r
}

// refusedServe refuses for what Serve of the pool has said.
func refusedServe(err error) *refusal {
	r := refusedHandshake(err)
	switch r.reason {
	case string(tlshandshake.Timeout):
		r = refusedTimeout
	case string(tlshandshake.Closed):
		r = refusedClosed
		r.err = err
	}
	return &r
}

// refuse closes the connection, and counts it, unless it was dropped. One whose peer is told
// why lingers, as linger.go says.
func (w *streamPassage) refuse(r *refusal) {
	c := w.stream
	if c.listener.failed(c) {
		w.loop.refusals.note(c.id, w.peer, c.name, *r)
		if r.lingers {
			w.linger(r.answer)
		}
	}
	_ = w.socket.Close() // it has nothing to flush
}

// linger sends an answer, if there is one, and FIN, and waits for the peer to finish. An
// error is the end of that.
func (w *streamPassage) linger(answer []byte) {
	_ = w.socket.SetDeadline(time.Now().Add(lingerTime)) // it may be closed
	if len(answer) > 0 {
		_, _ = w.socket.Write(answer)
	}
	if w.socket.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(w.socket, lingerBytes))
	}
}
