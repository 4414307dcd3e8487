package web

import "bytes"

// headEnd returns the length of the head that in begins with, the blank line at its end
// included; 0 if the end has not come. What ends a head is what ends one for net/http: a
// line feed and behind it an empty line, which is a line feed or CR LF (RFC 9112, section
// 2.2, lets a recipient take a lone LF for a line's end). The first from bytes have been
// searched before, so that a head is searched once, however many pieces it comes in.
func headEnd(in []byte, from int) int {
	from = max(from-2, 0) // the end may have come in two pieces, or three
	for {
		i := bytes.IndexByte(in[from:], '\n')
		if i < 0 {
			return 0
		}
		from += i + 1
		switch rest := in[from:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return from + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return from + 2
		}
	}
}

// fieldCounts are what has to be known of a head's lines and cannot be seen of the request that
// http.ReadRequest makes of them: it takes Host out, and Content-Length beside
// Transfer-Encoding, and equal lengths for one.
type fieldCounts struct {
	hosts     int  // lines of Host,
	lengths   int  // Content-Length,
	encodings int  // Transfer-Encoding
	spaced    bool // the name of one has a space in it, or behind it
}

// countFields looks at the lines of a whole head, the first one, which is the request's,
// left aside. It allocates nothing. It takes lines for what net/http takes them for: one
// that begins with a space or a tab goes on with the value of the one before.
func countFields(head []byte) (s fieldCounts) {
	_, lines, _ := bytes.Cut(head, newline)
	for len(lines) > 0 {
		end := bytes.IndexByte(lines, '\n')
		if end < 0 {
			break
		}
		line := lines[:end]
		lines = lines[end+1:]
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 || line[0] == ' ' || line[0] == '\t' {
			continue
		}
		name := line[:colon]
		switch len(name) {
		case len("Host"):
			s.hosts += named(name, "Host")
		case len("Content-Length"):
			s.lengths += named(name, "Content-Length")
		case len("Transfer-Encoding"):
			s.encodings += named(name, "Transfer-Encoding")
		}
		if bytes.IndexByte(name, ' ') >= 0 {
			s.spaced = true
		}
	}
	return s
}

var newline = []byte{'\n'}

// named is 1 if name, of as many bytes, is the header's name, in whatever case.
func named(name []byte, header string) int {
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		h := header[i]
		if 'A' <= h && h <= 'Z' {
			h |= 0x20
		}
		if c != h {
			return 0
		}
	}
	return 1
}
