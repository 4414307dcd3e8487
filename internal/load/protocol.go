package load

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
)

// protocol says what a request looks like, and which answer is right. It has no
// state of a connection.
type protocol interface {
	// request returns request number n of a connection, valid until the next call.
	request(n uint64) []byte
	// scan verifies what has come, from position p on, answer number n being the
	// first. It returns how many bytes it used and how many right answers have ended.
	// last says that the server ends the connection after them. After an error that
	// wraps errStatus one more has ended, and it can be called with the rest.
	scan(p *position, n uint64, in []byte) (used, answers int, last bool, err error)
	// end reports whether the end of the connection is that of an answer, which scan
	// could not know, and what is wrong with that one.
	end(p *position) (answer bool, err error)
}

// position is where within an answer a connection is.
type position struct {
	offset int    // bytes that have come of the answer (echo), or of its body (HTTP)
	left   int    // bytes of a body that are still to come (HTTP); chunked: of the chunk
	status uint16 // of HTTP, as all that follows
	phase  byte
	last   bool
}

// errWrong is what a wrong answer wraps.
var errWrong = errors.New("wrong answer")

// protocol reads the plan's files.
func (p *Plan) protocol() (protocol, error) {
	switch p.Mode {
	case Lines:
		return newLines(p.Size), nil
	case HTTP:
		return newHTTP(p)
	}
	return newEcho(p.Size), nil
}

// echo sends size bytes: the number of the request, as far as there is room, and
// a pattern.
type echo struct {
	sent, want []byte
}

const stampSize = 8

func newEcho(size int) *echo { return &echo{sent: pattern(size), want: pattern(size)} }

// pattern is printable.
func pattern(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = 'a' + byte(i%23)
	}
	return b
}

// stamp makes a request differ from those around it.
func stamp(b []byte, n uint64) {
	for i := range min(len(b), stampSize) {
		b[i] = byte(n >> (8 * i))
	}
}

func (e *echo) request(n uint64) []byte {
	stamp(e.sent, n)
	return e.sent
}

func (e *echo) scan(p *position, n uint64, in []byte) (used, answers int, last bool, err error) {
	size := len(e.want)
	stamp(e.want, n)
	for used < len(in) {
		part := min(size-p.offset, len(in)-used)
		if !bytes.Equal(in[used:used+part], e.want[p.offset:p.offset+part]) {
			return used, answers, false, fmt.Errorf("%w: not the bytes that were sent", errWrong)
		}
		used += part
		if p.offset += part; p.offset == size {
			p.offset = 0
			answers++
			stamp(e.want, n+uint64(answers))
		}
	}
	return used, answers, false, nil
}

func (e *echo) end(*position) (answer bool, err error) { return false, nil }

// lines sends lines of size bytes: the number of the request in hexadecimal, as
// far as there is room, and a pattern.
type lines struct{ line []byte }

func newLines(size int) *lines {
	l := &lines{pattern(size)}
	l.line[size-1] = '\n'
	return l
}

func (l *lines) request(n uint64) []byte {
	var number, text [2 * stampSize]byte
	stamp(number[:stampSize], n)
	hex.Encode(text[:], number[:stampSize])
	copy(l.line[:len(l.line)-1], text[:])
	return l.line
}

func (l *lines) scan(_ *position, n uint64, in []byte) (used, answers int, last bool, err error) {
	for {
		end := bytes.IndexByte(in[used:], '\n')
		if end < 0 {
			return used, answers, false, nil
		}
		if !bytes.HasSuffix(in[used:used+end+1], l.request(n+uint64(answers))) {
			return used, answers, false, fmt.Errorf("%w: a line that does not end with the one that was sent", errWrong)
		}
		used += end + 1
		answers++
	}
}

func (l *lines) end(*position) (answer bool, err error) { return false, nil }
