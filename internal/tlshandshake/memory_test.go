package tlshandshake

import (
	"io"
	"net"
	"sync"
	"time"
)

// stream is one direction of a connection in memory. Writes never wait.
type stream struct {
	mu     sync.Mutex
	more   sync.Cond
	data   []byte
	closed bool
}

func newStream() *stream {
	s := new(stream)
	s.more.L = &s.mu
	return s
}

func (s *stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.data) == 0 {
		if s.closed {
			return 0, io.EOF
		}
		s.more.Wait()
	}
	n := copy(p, s.data)
	s.data = s.data[n:]
	return n, nil
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, io.ErrClosedPipe
	}
	s.data = append(s.data, p...)
	s.more.Broadcast()
	return len(p), nil
}

func (s *stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.more.Broadcast()
	return nil
}

// end is one end of a connection in memory. After Close the other end still reads what
// was written before.
type end struct {
	in, out *stream
	address memoryAddress
}

type memoryAddress string

func (memoryAddress) Network() string  { return "memory" }
func (a memoryAddress) String() string { return string(a) }

func newPair() (client, server *end) {
	a, b := newStream(), newStream()
	return &end{in: a, out: b, address: "client"}, &end{in: b, out: a, address: "server"}
}

func (e *end) Read(p []byte) (int, error)       { return e.in.Read(p) }
func (e *end) Write(p []byte) (int, error)      { return e.out.Write(p) }
func (e *end) CloseWrite() error                { return e.out.Close() }
func (e *end) LocalAddr() net.Addr              { return e.address }
func (e *end) RemoteAddr() net.Addr             { return e.address }
func (e *end) SetDeadline(time.Time) error      { return nil }
func (e *end) SetReadDeadline(time.Time) error  { return nil }
func (e *end) SetWriteDeadline(time.Time) error { return nil }

func (e *end) Close() error {
	e.in.Close()
	return e.out.Close()
}
