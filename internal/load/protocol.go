package load

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
)

// protocol says what a request looks like, and which answer is right. It has no
// state of a connection.
type protocol interface {
	// request returns request number n of a connection, valid until the next call.
	request(n uint64) []byte
	// scan verifies what has come, from position p on, answer number n being the
	// first. It returns how many bytes it used and how many answers have ended. last
	// says that the server ends the connection after them.
	scan(p *position, n uint64, in []byte) (used, answers int, last bool, err error)
	// endsAnswer reports whether the end of the connection is that of an answer,
	// which scan could not know.
	endsAnswer(p *position) bool
}

// position is where within an answer a connection is.
type position struct {
	offset int  // bytes of the answer that have come (echo)
	body   int  // bytes of a body that are still to come (HTTP); chunked: of the chunk
	phase  byte // of HTTP
	last   bool
}

// errWrong is what a wrong answer wraps.
var errWrong = errors.New("wrong answer")

func (p *Plan) protocol() protocol {
	switch p.Mode {
	case Lines:
		return newLines(p.Size)
	case HTTP:
		return newHTTP(p.Path, p.Address)
	}
	return newEcho(p.Size)
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

func (e *echo) endsAnswer(*position) bool { return false }

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

func (l *lines) endsAnswer(*position) bool { return false }

// http sends GETs for one path, and follows each response to its end.
type http struct{ get []byte }

func newHTTP(path, host string) *http {
	return &http{fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host)}
}

func (h *http) request(uint64) []byte { return h.get }

// The phases of a response.
const (
	inHead    byte = iota // status line and header
	inBody                // of a known length
	atChunk               // the length of a chunk
	inChunk               // its bytes, and the end of its line
	inTrailer             // what follows the last
	toTheEnd              // a body that ends with the connection
)

func (h *http) scan(p *position, _ uint64, in []byte) (used, answers int, last bool, err error) {
	for {
		n, ended, err := p.step(in[used:])
		used += n
		if ended {
			answers++
		}
		if err != nil || ended && p.last || n == 0 && !ended {
			return used, answers, ended && p.last, err
		}
	}
}

func (h *http) endsAnswer(p *position) bool { return p.phase == toTheEnd }

// step takes the next part of a response. It takes none if the part is not whole.
func (p *position) step(in []byte) (used int, ended bool, err error) {
	switch p.phase {
	case inHead:
		end := bytes.Index(in, []byte("\r\n\r\n"))
		if end < 0 {
			return 0, false, nil
		}
		ended, err := p.head(in[:end+2])
		return end + 4, ended, err
	case toTheEnd:
		return len(in), false, nil
	case inBody, inChunk:
		n := min(p.body, len(in))
		p.body -= n
		if p.body > 0 {
			return n, false, nil
		}
		if p.phase == inChunk {
			p.phase = atChunk
			return n, false, nil
		}
		p.phase = inHead
		return n, true, nil
	default:
		end := bytes.Index(in, []byte("\r\n"))
		if end < 0 {
			return 0, false, nil
		}
		ended, err := p.chunkLine(in[:end])
		return end + 2, ended, err
	}
}

// chunkLine takes the length of a chunk, or a line of the trailer.
func (p *position) chunkLine(line []byte) (ended bool, err error) {
	if p.phase == inTrailer {
		if len(line) == 0 {
			p.phase = inHead
			return true, nil
		}
		return false, nil
	}
	digits, _, _ := bytes.Cut(line, []byte(";"))
	size, err := strconv.ParseUint(string(bytes.TrimSpace(digits)), 16, 31)
	switch {
	case err != nil:
		return false, fmt.Errorf("%w: the length of a chunk is %.20q", errWrong, digits)
	case size == 0:
		p.phase = inTrailer
	default:
		p.phase, p.body = inChunk, int(size)+len("\r\n")
	}
	return false, nil
}

// head takes status line and header, each line with its end.
func (p *position) head(in []byte) (ended bool, err error) {
	line, rest, _ := bytes.Cut(in, []byte("\r\n"))
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return false, fmt.Errorf("%w: %.40q", errWrong, line)
	}
	if line[9] == '1' && string(line[9:12]) != "101" {
		return false, nil // an interim response: the answer follows it
	}
	if line[9] != '2' && line[9] != '3' {
		return false, fmt.Errorf("%w: %.40q", errWrong, line)
	}
	p.last = line[7] == '0'
	length, coded, chunked := -1, false, false
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		key, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case is(key, "content-length"):
			n, err := strconv.ParseUint(string(value), 10, 31)
			if err != nil {
				return false, fmt.Errorf("%w: Content-Length %.20q", errWrong, value)
			}
			length = int(n)
		case is(key, "transfer-encoding"):
			final := value[bytes.LastIndexByte(value, ',')+1:]
			coded, chunked = true, is(bytes.TrimSpace(final), "chunked")
		case is(key, "connection"):
			p.last = is(value, "close") || p.last && !is(value, "keep-alive")
		}
	}
	switch {
	case chunked:
		p.phase = atChunk
	case noBody(in):
		return true, nil
	case coded || length < 0: // RFC 9112, section 6.3
		p.phase, p.last = toTheEnd, true
	case length == 0:
		return true, nil
	default:
		p.phase, p.body = inBody, length
	}
	return false, nil
}

// noBody reports whether the status says that none follows.
func noBody(head []byte) bool {
	status := string(head[9:12])
	return status == "204" || status == "304"
}

// is compares without regard to case.
func is(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range b {
		if b[i]|0x20 != lower[i]|0x20 {
			return false
		}
	}
	return true
}
