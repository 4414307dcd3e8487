package load

import (
	"bytes"
	"fmt"
	"strconv"
)

// This file reads answers (RFC 9112), as they come, and strictly: what two readers could
// take for two things is wrong.
//
//	        ┌──1xx──┐
//	inHead ─┴► inNextHead ──► inBody ─────────────────────────► the end
//	                     ├──► atChunk ⇄ inChunk, afterChunk
//	                     │       └──► inTrailer ──────────────► the end
//	                     └──► toTheEnd ──(of the connection)──► the end

// The phases of an answer.
const (
	inHead     byte = iota // status line and header, of which nothing was used yet
	inNextHead             // likewise, behind an interim response
	inBody                 // of a known length
	atChunk                // the length of a chunk
	inChunk                // its bytes
	afterChunk             // the end of its line
	inTrailer              // what follows the last
	toTheEnd               // a body that ends with the connection
)

// The bounds of what has to be here whole.
const (
	maxHead      = 64 << 10
	maxChunkLine = 8 << 10 // of a chunk's length with its extensions, or of a trailer
)

// head is what status line and header say.
type head struct {
	status int
	phase  byte // what follows: inBody, atChunk or toTheEnd
	left   int  // bytes of the body; 0 and inBody: there is none
	last   bool // the connection ends behind it
}

// step takes the next part of answer number n. It takes none if the part is not whole.
func (h *http) step(p *position, n uint64, in []byte) (used int, ended bool, err error) {
	switch p.phase {
	case inHead, inNextHead:
		return h.head(p, in)
	case toTheEnd:
		return len(in), false, h.verify(p, n, in)
	case inBody, inChunk:
		part := in[:min(p.left, len(in))]
		if p.left -= len(part); p.left == 0 {
			ended = p.phase == inBody
			p.phase++ // afterChunk, or no longer of use
		}
		return len(part), ended, h.verify(p, n, part)
	case afterChunk:
		if len(in) < len("\r\n") {
			return 0, false, nil
		}
		p.phase = atChunk
		if in[0] != '\r' || in[1] != '\n' {
			return 0, false, fmt.Errorf("%w: a chunk is not as long as it says", errWrong)
		}
		return len("\r\n"), false, nil
	default:
		return p.line(in)
	}
}

var endOfHead = []byte("\r\n\r\n")

// head takes status line and header.
func (h *http) head(p *position, in []byte) (used int, ended bool, err error) {
	if len(h.known) == 0 || !bytes.HasPrefix(in, h.known) {
		end := bytes.Index(in, endOfHead)
		if end < 0 {
			return 0, false, unfinishedHead(in)
		}
		if end += len(endOfHead); end > maxHead {
			return 0, false, errLongHead
		}
		said, err := parseHead(in[:end-len("\r\n")], h.noBody)
		switch {
		case err != nil:
			return 0, false, err
		case said.status < 200: // the answer follows it
			p.phase = inNextHead
			return end, false, nil
		}
		h.known, h.said = append(h.known[:0], in[:end]...), said
	}
	p.status, p.phase, p.left, p.last = uint16(h.said.status), h.said.phase, h.said.left, h.said.last
	return len(h.known), p.phase == inBody && p.left == 0, nil
}

var errLongHead = fmt.Errorf("%w: a header of more than %d bytes", errWrong, maxHead)

// unfinishedHead says what is wrong with one that has not come whole.
func unfinishedHead(in []byte) error {
	switch {
	case len(in) > maxHead:
		return errLongHead
	case bytes.Contains(in, []byte("\n\n")):
		return fmt.Errorf("%w: a header whose lines end with LF alone", errWrong)
	}
	return nil
}

// line takes the length of a chunk, or a line of the trailer.
func (p *position) line(in []byte) (used int, ended bool, err error) {
	end := bytes.Index(in, []byte("\r\n"))
	if end > maxChunkLine || end < 0 && len(in) > maxChunkLine+1 {
		return 0, false, fmt.Errorf("%w: a line of more than %d bytes among chunks", errWrong, maxChunkLine)
	}
	if end < 0 {
		return 0, false, nil
	}
	line := in[:end]
	if bytes.ContainsAny(line, "\r\n\x00") {
		return 0, false, fmt.Errorf("%w: the line of a chunk is %.40q", errWrong, line)
	}
	if p.phase == inTrailer {
		if len(line) == 0 {
			return end + 2, true, nil
		}
		_, _, err := field(line)
		return end + 2, false, err
	}
	digits, _, _ := bytes.Cut(line, []byte(";"))
	size, err := strconv.ParseUint(string(bytes.TrimRight(digits, " \t")), 16, 62)
	switch {
	case err != nil:
		return 0, false, fmt.Errorf("%w: the length of a chunk is %.20q", errWrong, digits)
	case size == 0:
		p.phase = inTrailer
	default:
		p.phase, p.left = inChunk, int(size)
	}
	return end + 2, false, nil
}

// parseHead reads status line and header, each line with its end. noBody says that no
// answer has a body, whatever its header says.
func parseHead(in []byte, noBody bool) (h head, err error) {
	line, rest, _ := bytes.Cut(in, []byte("\r\n"))
	if h.status, err = parseStatus(line); err != nil {
		return h, err
	}
	h.last = line[len("HTTP/1.")] == '0'
	length, coded, chunked := -1, false, false
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, err := field(line)
		if err != nil {
			return h, err
		}
		switch {
		case is(name, "content-length"):
			if length, err = parseLength(value, length); err != nil {
				return h, err
			}
		case is(name, "transfer-encoding"):
			if coded {
				return h, fmt.Errorf("%w: Transfer-Encoding twice", errWrong)
			}
			coded, chunked = true, is(bytes.TrimSpace(value[bytes.LastIndexByte(value, ',')+1:]), "chunked")
		case is(name, "connection"):
			h.connection(value)
		}
	}
	switch {
	case h.status < 200: // what it says of lengths means nothing
	case coded && length >= 0:
		return h, fmt.Errorf("%w: both Content-Length and Transfer-Encoding", errWrong)
	case noBody || h.status == 204 || h.status == 304:
		h.phase = inBody
	case chunked:
		h.phase = atChunk
	case length < 0: // RFC 9112, section 6.3
		h.phase, h.last = toTheEnd, true
	default:
		h.phase, h.left = inBody, length
	}
	return h, nil
}

// parseStatus reads a status line. An answer to what was not asked, 101, is wrong.
func parseStatus(line []byte) (status int, err error) {
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[7] != '0' && line[7] != '1' || line[8] != ' ' ||
		len(line) > 12 && line[12] != ' ' || bytes.ContainsAny(line, "\r\n\x00") {
		return 0, fmt.Errorf("%w: %.40q", errWrong, line)
	}
	for _, digit := range line[9:12] {
		if digit < '0' || digit > '9' {
			return 0, fmt.Errorf("%w: %.40q", errWrong, line)
		}
		status = 10*status + int(digit-'0')
	}
	if status < 100 || status > 599 || status == 101 {
		return 0, fmt.Errorf("%w: %.40q", errWrong, line)
	}
	return status, nil
}

// parseLength reads a Content-Length, of which there is one at most.
func parseLength(value []byte, before int) (int, error) {
	n, err := strconv.ParseUint(string(value), 10, 62)
	if err != nil || before >= 0 {
		return 0, fmt.Errorf("%w: Content-Length %.20q", errWrong, value)
	}
	return int(n), nil
}

// connection reads the tokens of a Connection.
func (h *head) connection(value []byte) {
	for token := range bytes.SplitSeq(value, []byte(",")) {
		switch token = bytes.TrimSpace(token); {
		case is(token, "close"):
			h.last = true
			return
		case is(token, "keep-alive"):
			h.last = false
		}
	}
}

// field splits a line of a header (RFC 9112, section 5.1): there is no blank before the
// colon, no line that goes on with the one before, and no control character but HTAB, as
// net/http has it (RFC 9110, section 5.5).
func field(line []byte) (name, value []byte, err error) {
	name, value, found := bytes.Cut(line, []byte(":"))
	if !found || !isToken(name) || bytes.ContainsFunc(value, isControl) {
		return nil, nil, fmt.Errorf("%w: the line of a header is %.40q", errWrong, line)
	}
	return name, bytes.Trim(value, " \t"), nil
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// isToken reports whether b is one (RFC 9110, section 5.6.2).
func isToken(b []byte) bool {
	for _, c := range b {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && !bytes.ContainsRune([]byte("!#$%&'*+-.^_`|~"), rune(c)) {
			return false
		}
	}
	return len(b) > 0
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
