package load

import (
	"bytes"
	"errors"
	"fmt"
	"net/http/httputil"
	"strconv"
	"strings"
)

// http sends the same request again and again, and follows each answer to its end
// (answer.go).
type http struct {
	wire   []byte // a request, whole
	stamp  []byte // the part of it that has its number; empty: there is none
	want   []byte // what a body is to be; nil: that is not known
	stamps bool   // of that: it begins with the number of its request
	length int    // of a body; -1: that is not known
	status int    // that is wanted; 0: 200 to 399
	noBody bool   // answers have none, whatever they say of its length: HEAD

	known    []byte // the header that came last: most come again, byte for byte
	said     head   // what it says
	statuses [600]int64
}

// newHTTP reads the plan's files.
func newHTTP(p *Plan) (*http, error) {
	h := &http{length: -1, status: p.Status, noBody: p.method() == "HEAD"}
	var body []byte
	if p.Body != nil {
		var err error
		if body, err = p.Body.read(); err != nil {
			return nil, err
		}
	}
	h.compose(p, body)
	if p.Expect == nil {
		return h, nil
	}
	switch {
	case p.Expect.Sent:
		h.want, h.stamps = body, p.Body.File == ""
		h.length = len(body)
	case p.Expect.File != "":
		want, err := p.Expect.read()
		if err != nil {
			return nil, err
		}
		h.want, h.length = want, len(want)
	default:
		h.length = p.Expect.Size
	}
	return h, nil
}

// chunkSize is how long the chunks of a request are.
const chunkSize = 16 << 10

// compose makes the request.
func (h *http) compose(p *Plan, body []byte) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", p.method(), p.Path)
	if !p.sets("Host") {
		fmt.Fprintf(&b, "Host: %s\r\n", p.host())
	}
	for _, line := range p.Headers {
		b.WriteString(line + "\r\n")
	}
	if p.Close {
		b.WriteString("Connection: close\r\n")
	}
	switch {
	case p.Chunked:
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
	case p.Body != nil || strings.HasPrefix(p.method(), "P"): // POST, PUT, PATCH: they mean something without one
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(body))
	default:
		b.WriteString("\r\n")
	}
	start := b.Len()
	if p.Chunked {
		start += len(strconv.FormatInt(int64(min(chunkSize, len(body))), 16)) + len("\r\n")
		chunks := httputil.NewChunkedWriter(&b) // a Buffer takes all
		for rest := body; len(rest) > 0; {
			n := min(chunkSize, len(rest))
			_, _ = chunks.Write(rest[:n])
			rest = rest[n:]
		}
		_ = chunks.Close()
		b.WriteString("\r\n")
	} else {
		b.Write(body)
	}
	h.wire = b.Bytes()
	if p.Body != nil && p.Body.File == "" {
		h.stamp = h.wire[start : start+min(stampSize, len(body))]
	}
}

// method is what requests ask to be done.
func (p *Plan) method() string {
	switch {
	case p.Method != "":
		return p.Method
	case p.Body != nil:
		return "POST"
	}
	return "GET"
}

// host is whom they ask.
func (p *Plan) host() string {
	if strings.HasPrefix(p.Address, unixScheme) {
		return "localhost"
	}
	return p.Address
}

// sets reports whether a header is among those that the plan gives.
func (p *Plan) sets(name string) bool {
	for _, line := range p.Headers {
		if key, _, _ := strings.Cut(line, ":"); strings.EqualFold(key, name) {
			return true
		}
	}
	return false
}

// checkHTTP says what is wrong with what is for HTTP alone.
func (p *Plan) checkHTTP() error {
	if p.Mode != HTTP {
		if p.Method != "" || p.Headers != nil || p.Body != nil || p.Expect != nil || p.Chunked || p.Status != 0 || p.Close {
			return errors.New("method, headers, body, chunked, expect, status and close are for http")
		}
		return nil
	}
	for _, line := range p.Headers {
		if _, _, err := field([]byte(line)); err != nil {
			return fmt.Errorf("header %q: want NAME: VALUE", line)
		}
	}
	for _, name := range []string{"Content-Length", "Transfer-Encoding"} {
		if p.sets(name) {
			return fmt.Errorf("header %s: the body says that", name)
		}
	}
	_, _, wrong := field([]byte(p.method() + ":")) // a method is a token, as a name is
	for _, rule := range []struct {
		broken bool
		reason string
	}{
		{wrong != nil, fmt.Sprintf("there is no method %q", p.Method)},
		{p.method() == "CONNECT", "what follows CONNECT is no HTTP"},
		{p.Status != 0 && (p.Status < 200 || p.Status > 599), "a status is from 200 to 599"},
		{p.Chunked && p.Body == nil, "there is no body to send in chunks"},
		{p.method() == "HEAD" && p.Expect != nil, "an answer to HEAD has no body to expect"},
		{p.Close && p.sets("Connection"), "close says what Connection is to be"},
		{p.Close && !p.Churn, "close is churn that the server ends"},
	} {
		if rule.broken {
			return errors.New(rule.reason)
		}
	}
	return p.checkContents()
}

func (h *http) request(n uint64) []byte {
	stamp(h.stamp, n)
	return h.wire
}

// errStatus is what an answer wraps whose status is not wanted. The connection goes on.
var errStatus = errors.New("status")

// wants reports whether a status is right.
func (h *http) wants(status int) bool {
	if h.status != 0 {
		return status == h.status
	}
	return status < 400
}

func (h *http) scan(p *position, n uint64, in []byte) (used, answers int, last bool, err error) {
	for {
		took, ended, err := h.step(p, n+uint64(answers), in[used:])
		used += took
		switch {
		case err != nil:
			return used, answers, false, err
		case took == 0 && !ended:
			return used, answers, false, nil
		case !ended:
			continue
		}
		last = p.last
		if err := h.finish(p); err != nil {
			return used, answers, last, err
		}
		if answers++; last {
			return used, answers, last, nil
		}
	}
}

// finish verifies what can be told at the end of an answer only.
func (h *http) finish(p *position) error {
	answer := *p
	*p = position{}
	h.statuses[answer.status]++
	if !h.wants(int(answer.status)) {
		return fmt.Errorf("%w %d", errStatus, answer.status)
	}
	if h.length >= 0 && answer.offset != h.length {
		return fmt.Errorf("%w: a body of %d bytes, not %d", errWrong, answer.offset, h.length)
	}
	return nil
}

// verify takes a part of a body, of answer number n.
func (h *http) verify(p *position, n uint64, part []byte) error {
	at := p.offset
	p.offset += len(part)
	if h.length < 0 || !h.wants(int(p.status)) {
		return nil
	}
	if p.offset > h.length {
		return fmt.Errorf("%w: a body of more than %d bytes", errWrong, h.length)
	}
	for h.stamps && at < stampSize && len(part) > 0 {
		if part[0] != byte(n>>(8*at)) {
			return errBody
		}
		at, part = at+1, part[1:]
	}
	if h.want != nil && !bytes.Equal(part, h.want[at:at+len(part)]) {
		return errBody
	}
	return nil
}

var errBody = fmt.Errorf("%w: a body with other bytes than expected", errWrong)

func (h *http) end(p *position) (answer bool, err error) {
	if p.phase != toTheEnd {
		return false, nil
	}
	return true, h.finish(p)
}
