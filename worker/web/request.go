package web

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/textproto"
	"strings"
	"sync"
)

// readerSlop is what a head may have beyond maxHeaderBytes, as with net/http.
const readerSlop = 4 << 10

// parser makes requests of heads. The parser itself is http.ReadRequest; what net/http's
// server looks at before and behind it is here. It is the same for all connections of a
// handler, does no I/O, and does not change, so that it is for any goroutine.
type parser struct {
	maxHeaderBytes int            // as http.Server.MaxHeaderBytes; 0: http.DefaultMaxHeaderBytes
	trusted        []netip.Prefix // proxies whose word on a client's address counts: see credit
	forwarded      bool           // they say it in Forwarded (RFC 7239), not X-Forwarded-For
}

// previous is what a connection has served before, on which it depends how net/http's
// server looks for the next request.
type previous uint8

const (
	nothing  previous = iota // it is new
	anything                 // a request
	aPost                    // a request by POST, behind which old clients send a CR LF too many
)

// after returns what r is for the request behind it.
func after(r *http.Request) previous {
	if r.Method == http.MethodPost {
		return aPost
	}
	return anything
}

// limit is the length of the longest head.
func (p *parser) limit() int {
	if p.maxHeaderBytes > 0 {
		return p.maxHeaderBytes + readerSlop
	}
	return http.DefaultMaxHeaderBytes + readerSlop
}

// next looks for the head of the next request in in, of which the first from bytes have
// been seen by the last call, if that returned 0 and no error. The head is in[skip:end];
// end is 0 if the head is not whole: more is needed. An error is a *refusal, of a head
// that is too long or, though not whole, already wrong, as net/http answers it.
func (p *parser) next(in []byte, from int, before previous) (skip, end int, err error) {
	if before != nothing && len(in) < peeked {
		return 0, 0, nil
	}
	if before == aPost {
		skip = leadingBreaks(in)
	}
	in, from = in[skip:], max(from-skip, 0)
	if n := headEnd(in, from); n > 0 {
		if n > p.limit() {
			return skip, 0, errTooLarge
		}
		return skip, skip + n, nil
	}
	if err := tooEarlyError(in, from); err != nil {
		return skip, 0, err
	}
	if len(in) >= p.limit() {
		return skip, 0, errTooLarge
	}
	return skip, 0, nil
}

// peeked is how many bytes net/http's server waits for between two requests before it
// looks at any.
const peeked = 4

// leadingBreaks counts the CRs and LFs, of the first four bytes, that net/http's server
// skips behind a POST.
func leadingBreaks(in []byte) (n int) {
	for n < min(len(in), peeked) && (in[n] == '\r' || in[n] == '\n') {
		n++
	}
	return n
}

// tooEarlyError returns the refusal of a head that is not whole and can be no request any
// more, as net/http refuses it, which reads line by line and answers the first that is
// wrong. It looks at the lines that have ended since the head was from bytes long, so that
// each is looked at once; a line that has not ended it leaves alone.
func tooEarlyError(in []byte, from int) error {
	last := bytes.LastIndexByte(in[from:], '\n')
	if last < 0 {
		return nil
	}
	start := bytes.LastIndexByte(in[:from], '\n') + 1
	lines := in[start : from+last+1]
	before := "a:" // a line that goes on with the one before
	if start == 0 {
		var first []byte
		first, lines, _ = bytes.Cut(lines, newline)
		if err := wrongFirstLine(first); err != nil {
			return err
		}
		before = "" // there is none
	} else if lines[0] != ' ' && lines[0] != '\t' || bytes.IndexByte(in, '\n') == start-1 {
		before = ""
	}
	if len(lines) == 0 {
		return nil
	}
	r := bufio.NewReader(io.MultiReader(strings.NewReader(before), bytes.NewReader(lines), strings.NewReader("\n")))
	if _, err := textproto.NewReader(r).ReadMIMEHeader(); err != nil {
		return refused(err)
	}
	return nil
}

// wrongFirstLine returns the refusal of a request's first line, without its line feed.
func wrongFirstLine(line []byte) error {
	r := bufio.NewReader(io.MultiReader(bytes.NewReader(line), strings.NewReader("\n\n")))
	if _, err := http.ReadRequest(r); err != nil {
		return refused(err)
	}
	return nil
}

// atEOF returns what net/http answers when a client ends within a head, of which in is
// all; nil if it answers nothing.
func (p *parser) atEOF(in []byte, before previous) error {
	if len(in) == 0 || before != nothing && len(in) < peeked {
		return nil
	}
	if before == aPost {
		in = in[leadingBreaks(in):]
	}
	_, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(in)))
	if err == io.EOF {
		return nil
	}
	if err == nil {
		return nil // a whole head: next has seen it
	}
	return refused(err)
}

// read makes a request of a whole head, as headEnd has found it, which it keeps no
// reference to. b is nil if the request has no body; else r.Body is b, which holds a feed
// that is to be given the bytes behind the head. An error is a *refusal. r has the context
// ctx; what only the connection knows (RemoteAddr, TLS) the caller sets: see credit,
// connectionState.
func (p *parser) read(ctx context.Context, head []byte) (r *http.Request, b *body, err error) {
	in := getInput(head)
	parsed, err := http.ReadRequest(in.r)
	if err == nil {
		if len(in.head) > 0 || in.r.Buffered() > 0 {
			err = errFraming // or else what is left of it would be another request
		} else {
			err = check(parsed, head)
		}
	}
	if err != nil {
		putInput(in)
		return nil, nil, refused(err)
	}
	if parsed.Body == http.NoBody {
		putInput(in)
		*parsed = *parsed.WithContext(ctx) // copied back, it is no allocation
		return parsed, nil, nil
	}
	r = parsed.WithContext(ctx)
	return r, newBody(in, parsed, r), nil
}

// check looks at what net/http's server looks at behind http.ReadRequest, in its order,
// and then at the lengths, of which net/http lets more pass.
func check(r *http.Request, head []byte) error {
	if r.ProtoMajor != 1 && !(r.Method == "PRI" && r.RequestURI == "*" && r.Proto == "HTTP/2.0") {
		return errVersion
	}
	s := countFields(head)
	if s.hosts == 0 && r.ProtoAtLeast(1, 1) && r.Method != http.MethodConnect && !upgradesToH2(r) {
		return errHostMissing
	}
	if s.hosts > 0 && !validHost(hostLine(r, head)) {
		return errHostMalformed
	}
	if s.spaced {
		return errName
	}
	// Two lengths, or a coding that a recipient may not know, are how one request is
	// smuggled past a proxy in another (RFC 9112, sections 6.1 and 6.3, 11.2).
	if s.lengths+s.encodings > 1 || s.encodings > 0 && !r.ProtoAtLeast(1, 1) {
		return errLengths
	}
	if r.Header["Expect"] != nil && !expectsContinue(r) && r.Header.Get("Expect") != "" {
		return &refusal{status: http.StatusExpectationFailed, before11: !r.ProtoAtLeast(1, 1), head: r.Method == http.MethodHead}
	}
	return nil
}

// upgradesToH2 tells whether r is the preface of HTTP/2 (RFC 9113, section 3.4), of a head
// without a line of Host, which net/http leaves to its handlers.
func upgradesToH2(r *http.Request) bool {
	return r.Method == "PRI" && len(r.Header) == 0 && r.URL.Path == "*" && r.Proto == "HTTP/2.0"
}

// hostLine returns the value of a head's only line of Host. http.ReadRequest makes
// r.Host of it, but if the target has a host of its own.
func hostLine(r *http.Request, head []byte) string {
	if r.URL.Host == "" {
		return r.Host
	}
	_, lines, _ := bytes.Cut(head, newline)
	header, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(lines))).ReadMIMEHeader()
	if err != nil {
		return "\x00" // http.ReadRequest took it: it cannot be
	}
	return header.Get("Host")
}

// validHost tells whether a Host has only bytes that a host and a port can have, as
// net/http asks: no more than that (RFC 9110, section 7.2; RFC 3986, section 3.2.2).
func validHost(host string) bool {
	for i := range len(host) {
		switch c := host[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!$%&'()*+,-.:;=[]_~", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// input is what a request is read from: its head, then its feed.
type input struct {
	head []byte // not yet read
	feed *feed  // nil as long as only the head may be read
	r    *bufio.Reader
}

// Read implements io.Reader, for r.
func (in *input) Read(p []byte) (int, error) {
	if len(in.head) > 0 {
		n := copy(p, in.head)
		in.head = in.head[n:]
		return n, nil
	}
	if in.feed == nil {
		return 0, io.EOF
	}
	return in.feed.Read(p)
}

// inputs are kept: one serves a head without a body no longer than it is parsed.
var inputs = sync.Pool{New: func() any {
	in := new(input)
	// Of the size of net/http's, on which it depends how long the line of a chunk and a
	// trailer may be.
	in.r = bufio.NewReaderSize(in, 4<<10)
	return in
}}

func getInput(head []byte) *input {
	in := inputs.Get().(*input)
	in.head = head
	return in
}

func putInput(in *input) {
	in.head, in.feed = nil, nil
	in.r.Reset(in)
	inputs.Put(in)
}

// refused returns err as the refusal that net/http's server makes of it.
func refused(err error) error {
	var r *refusal
	switch {
	case errors.As(err, &r):
		return r
	case isUnsupportedCoding(err):
		return errCoding
	}
	return errBad
}
