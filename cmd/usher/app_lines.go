package main

import (
	"net/netip"
	"os"
	"strconv"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/framing"
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

// rawLines has each line with its ending.
var rawLines = framing.RawLines(maxLine)

// Open returns l.
func (l lines) Open(*worker.Conn) (worker.Session, error) { return l, nil }

// Data answers the whole lines in in.
func (lines) Data(c *worker.Conn, in []byte) (n int, err error) {
	var space [128]byte
	prefix := appendPrefix(space[:0], os.Getpid(), c.RemoteAddr())
	return framing.Each(c, in, rawLines, func(c *worker.Conn, line []byte) error {
		if _, err := c.Writev(prefix, line); err != nil {
			return err
		}
		if string(line) == quit+"\n" || string(line) == quit+"\r\n" {
			return c.Close()
		}
		return nil
	})
}

// MarshalBinary and UnmarshalBinary let connections move to another worker: there
// is no state but the input that is not consumed.
func (lines) MarshalBinary() ([]byte, error) { return nil, nil }

// UnmarshalBinary restores nothing.
func (lines) UnmarshalBinary([]byte) error { return nil }

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
