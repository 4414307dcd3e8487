package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strconv"

	"github.com/usher-go/usher/worker"
)

// lines is the built-in app that answers each line with
//
//	<pid> <client ip> <client port> <line>
//
// and the line's own ending, LF or CRLF. A last line that the client did not end
// is answered too, without an ending. The line quit is answered, and then the
// connection is closed. On a Unix socket ip and port are "-". Lines are bytes: a
// NUL is one like any other.
//
// It keeps nothing for a connection, and is its own session.
type lines struct{}

// maxLine is the longest line, in bytes, its ending not counted.
const maxLine = 64 << 10

const quit = "quit"

// Open returns l.
func (l lines) Open(*worker.Conn) (worker.Session, error) { return l, nil }

// Data answers the whole lines in in.
func (lines) Data(c *worker.Conn, in []byte) (n int, err error) {
	var space [128]byte
	prefix := appendPrefix(space[:0], os.Getpid(), c.RemoteAddr())
	for {
		line, size, err := nextLine(in[n:])
		if err != nil || size == 0 {
			return n, err
		}
		if _, err := c.Writev(prefix, in[n:n+size]); err != nil {
			return n, err
		}
		n += size
		if string(line) == quit {
			return n, c.Close()
		}
	}
}

// EOF answers the line that has no end.
func (lines) EOF(c *worker.Conn, rest []byte) error {
	if len(rest) > 0 {
		var space [128]byte
		if _, err := c.Writev(appendPrefix(space[:0], os.Getpid(), c.RemoteAddr()), rest); err != nil {
			return err
		}
	}
	return c.Close()
}

// nextLine returns the first line in in, and its size with the ending; size 0
// means that it has no end yet. A line that is too long is an error, whether it
// has ended or not.
func nextLine(in []byte) (line []byte, size int, err error) {
	end := bytes.IndexByte(in, '\n')
	line = in
	if end >= 0 {
		line = in[:end]
	}
	// A CR at the very end may be the first half of an ending.
	line = bytes.TrimSuffix(line, []byte{'\r'})
	if len(line) > maxLine {
		return nil, 0, fmt.Errorf("lines: a line of more than %d bytes", maxLine)
	}
	return line, end + 1, nil
}

// appendPrefix appends what comes before the line in an answer.
func appendPrefix(b []byte, pid int, client netip.AddrPort) []byte {
	b = strconv.AppendInt(b, int64(pid), 10)
	if !client.IsValid() {
		return append(b, " - - "...)
	}
	b = append(b, ' ')
	b = client.Addr().AppendTo(b)
	b = append(b, ' ')
	b = strconv.AppendUint(b, uint64(client.Port()), 10)
	return append(b, ' ')
}
