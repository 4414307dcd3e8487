package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
)

// webEnding is how a client's connection comes to its end.
type webEnding int

const (
	webFinishes webEnding = iota // it finishes sending behind its requests
	webBreaks                    // in the middle of one
	webWaits                     // the last request asks to close, and it does not finish before that is done
	webResets                    // it goes
	webEndings
)

// webScript is what a client sends.
type webScript struct {
	requests []*webRequest
	in       []byte // the bytes of them
	methods  []string
	pauses   []int // where in the bytes it waits to be told to go on
	ending   webEnding
	strict   int  // the request, counted from 0, with two lengths; negative: none
	headEnd  int  // where its head ends
	broken   bool // the end of a body cannot be found, or is too far away
	aborts   bool // a handler panics
}

// newWebScript is that of a seed. On the loop a handler neither pauses nor takes the connection.
func newWebScript(r *rand.Rand, inline bool) *webScript {
	k := &webScript{ending: webEnding(r.IntN(int(webEndings))), strict: -1}
	for range 1 + r.IntN(12) {
		q := newWebRequest(r, inline)
		if q.strict && k.strict < 0 {
			k.strict, k.headEnd = len(k.methods), len(k.in)+len(q.head)
		}
		k.add(q)
		if q.last {
			break
		}
	}
	switch k.ending {
	case webWaits:
		k.add(&webRequest{method: "GET", head: "GET /w10 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"})
	case webBreaks:
		k.breakOff(1 + r.IntN(len(k.in)))
	}
	return k
}

// breakOff has it end behind n bytes; not in the body of a request that is served with full
// duplex: of what is left of one net/http makes a request (docs/web.md).
func (k *webScript) breakOff(n int) {
	at := 0
	for _, q := range k.requests {
		if at += len(q.head) + len(q.body); at >= n {
			if strings.Contains(q.head, string(stepEcho)+"0 HTTP/") {
				n = at - len(q.body)
			}
			break
		}
	}
	k.in, k.broken = k.in[:min(n, len(k.in))], true
}

func (k *webScript) add(q *webRequest) {
	k.requests = append(k.requests, q)
	k.methods = append(k.methods, q.method)
	k.broken = k.broken || q.broken || len(q.body) > 256<<10
	k.aborts = k.aborts || strings.Contains(q.head, string(stepAbort)+"0 HTTP/")
	k.in = append(k.in, q.head...)
	if q.expects {
		k.pauses = append(k.pauses, len(k.in))
	}
	k.in = append(k.in, q.body...)
}

// webRequest is one of a client's.
type webRequest struct {
	method, head string
	body         []byte
	expects      bool // it waits for 100 Continue
	strict       bool // it has two lengths, or chunks in HTTP/1.0
	last         bool // what follows would be no request
	broken       bool // the end of its body cannot be found
}

// What is drawn from.
var (
	webMethods    = []string{"GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE", "OPTIONS", "BREW"}
	webGoodFields = []string{"Accept: */*", "x-lower: a", "X-Twice: 1\nX-Twice: 2", "X-Folded: a\n  b", "User-Agent: story", "X-Empty:", "X-High: \xff",
		"Connection: keep-alive", "Connection: keep-alive, x", "Connection: close", "Connection: upgrade\nUpgrade: echo"}
	// Lines that are wrong, or another request's.
	webWrongFields = []string{"Space : 1", ": none", "none", "Nul: \x00", "Host: y", "Expect: tea", "Content-Length: -1", "Content-Length: +5",
		"Content-Length: x", "Content-Length: 5, 5", "Transfer-Encoding: gzip", "Transfer-Encoding: chunked, chunked", "Cr: a\rb", "\xff: a", "Host: a/b"}
	webWrongLines = []string{"GET", "GET /", "GET / HTTP/2.0", "GET / HTTP/1.2", "GET / HTTP/x", "GET  / HTTP/1.1", "GET / HTTP/1.1 ", "G(T / HTTP/1.1",
		"GET /% HTTP/1.1", "GET * HTTP/1.1", "GET \x00 HTTP/1.1", "OPTIONS * HTTP/1.1", "PRI * HTTP/2.0", "", " GET / HTTP/1.1", "CONNECT x:1 HTTP/1.1"}
	webWrongChunks = []string{"5\r\nhello!\r\n0\r\n\r\n", "x\r\n\r\n", "-1\r\n\r\n", "0x1\r\na\r\n0\r\n\r\n", "10000000000000000\r\n", "\r\n", "5\nhello\r\n0\r\n\r\n",
		"1\r\na\n0\r\n\r\n", "0\r\nno field\r\n\r\n", " 1\r\na\r\n0\r\n\r\n"}
	webStatuses = []int{200, 200, 200, 201, 204, 299, 304, 404, 500, 777}
)

// oneOf draws one.
func oneOf[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// webSize draws how much of something there is: mostly little.
func webSize(r *rand.Rand, most int) int { return r.IntN(1 + min(most, 1<<r.IntN(20))) }

func newWebRequest(r *rand.Rand, inline bool) *webRequest {
	q := &webRequest{method: oneOf(r, webMethods)}
	steps := newWebSteps(r, inline)
	version, lines := "1.1", []string{"Host: x"}
	if r.IntN(8) == 0 {
		version = "1.0"
		if r.IntN(2) == 0 {
			lines = append(lines, "Connection: keep-alive")
		}
	}
	first := fmt.Sprintf("%s %s%s HTTP/%s", q.method, oneOf(r, []string{"", "", "", "http://y"}), webPath(steps), version)
	if !inline && r.IntN(20) == 0 {
		n := r.IntN(10_000)
		first = fmt.Sprintf("GET /j%d HTTP/1.1", n)
		q.method, q.last, q.body = "GET", true, pseudo(r.Uint64(), n+r.IntN(2))
	} else if r.IntN(5) < 3 || q.method == "POST" || q.method == "PUT" {
		lines = append(lines, q.addBody(r)...)
		if q.strict = version == "1.0" && strings.HasPrefix(lines[len(lines)-1], "Transfer-Encoding"); q.strict {
			first = q.method + " /w5 HTTP/1.0"
		}
		if q.broken || len(q.body) > 256<<10 {
			// docs/web.md: with full duplex or a limit, or if the handler has closed it, net/http
			// does not mind.
			first = strings.NewReplacer(string(stepEcho)+"0", string(stepReadAll)+"0", string(stepShut), string(stepRead), string(stepLimit), string(stepRead)).Replace(first)
		}
		if r.IntN(6) == 0 {
			lines, q.expects = append(lines, "Expect: 100-continue"), true
			// docs/web.md: with a limit set by the handler net/http waits for the body. Whether
			// who has read all of its bytes has seen its end depends on how it came.
			first = strings.NewReplacer(string(stepLimit), string(stepReadAll), string(stepRead), string(stepReadAll)).Replace(first)
		}
	}
	for r.IntN(3) == 0 {
		lines = append(lines, oneOf(r, webGoodFields))
	}
	switch wrong := r.IntN(60); {
	case q.strict:
	case wrong == 0:
		if wrong := oneOf(r, webWrongFields); version == "1.1" || !strings.HasPrefix(wrong, "Transfer-Encoding") {
			lines = append(lines, wrong)
		}
	case wrong == 1:
		first = oneOf(r, webWrongLines)
	case wrong == 2:
		lines = lines[1:] // without a Host
	case wrong == 3:
		if q.body != nil && !q.last && q.method != "GET" {
			first = fmt.Sprintf("%s /w5 HTTP/1.1", q.method)
			lines, q.strict = []string{"Host: x", "Content-Length: 3", oneOf(r, []string{"Content-Length: 3", "content-length: 3", "Transfer-Encoding: chunked"})}, true
		}
	}
	q.head = first + "\n" + strings.Join(lines, "\n") + "\n\n"
	if r.IntN(20) > 0 {
		q.head = strings.ReplaceAll(q.head, "\n", "\r\n")
	}
	if q.method == "POST" && !q.last && r.IntN(8) == 0 {
		q.body = append(q.body, "\r\n"...) // as old clients do
	}
	return q
}

// addBody gives it a body, and returns the lines that say so.
func (q *webRequest) addBody(r *rand.Rand) (lines []string) {
	most := 20_000
	if r.IntN(20) == 0 {
		most = 600_000 // more than is read of one that the handler does not read
	}
	body := pseudo(r.Uint64(), webSize(r, most))
	if r.IntN(2) == 0 {
		q.body = body
		return []string{fmt.Sprintf("Content-Length: %d", len(body))}
	}
	if r.IntN(25) == 0 {
		q.body, q.broken = []byte(oneOf(r, webWrongChunks)), true
		return []string{"Transfer-Encoding: chunked"}
	}
	var b bytes.Buffer
	for len(body) > 0 {
		n := 1 + r.IntN(min(len(body), 1<<r.IntN(17)))
		extension := oneOf(r, []string{"", "", "", ";a=b", " "})
		fmt.Fprintf(&b, "%x%s\r\n%s\r\n", n, extension, body[:n])
		body = body[n:]
	}
	b.WriteString("0\r\n")
	if r.IntN(4) == 0 {
		lines = append(lines, "Trailer: X-Behind")
		b.WriteString("X-Behind: yes\r\n")
	}
	b.WriteString("\r\n")
	q.body = b.Bytes()
	return append(lines, "Transfer-Encoding: chunked")
}

// newWebSteps draws what the handler is to do.
func newWebSteps(r *rand.Rand, inline bool) (steps []webStep) {
	const (
		heading = "ilNktTxDEvpXs"
		reading = "rrRRCmvp"
		writing = "wwwWWcfffpr"
	)
	draw := func(from string, most int) {
		for range r.IntN(most) {
			steps = append(steps, newWebStep(r, from[r.IntN(len(from))], inline))
		}
	}
	draw(heading, 4)
	if r.IntN(12) == 0 {
		// docs/web.md: what a full duplex handler has not read is read behind its answer; here
		// it reads all, unless it may not write. How much comes at a time is not said.
		steps = slices.DeleteFunc(steps, func(s webStep) bool { return strings.IndexByte("slX", s.kind) >= 0 })
		return append(steps, webStep{kind: stepEcho})
	}
	draw(reading, 3)
	draw(heading, 2)
	if slices.ContainsFunc(steps, func(s webStep) bool { return s.kind == stepLength }) {
		// docs/web.md: of a file that is longer than declared net/http sends all.
		draw(strings.ReplaceAll(writing, string(stepCopy), ""), 6)
	} else {
		draw(writing, 6)
	}
	draw(reading, 2)
	if slices.ContainsFunc(steps, func(s webStep) bool { return s.kind == stepShut }) {
		// docs/web.md: of what is left of a closed body with a limit net/http makes a request.
		steps = slices.DeleteFunc(steps, func(s webStep) bool { return s.kind == stepLimit })
	}
	if r.IntN(15) == 0 {
		// Whether what is not flushed comes is not said.
		if webWritten(steps) > 0 {
			steps = append(steps, webStep{kind: stepFlush})
		}
		steps = append(steps, webStep{kind: stepAbort})
	}
	return steps
}

func newWebStep(r *rand.Rand, kind byte, inline bool) webStep {
	s := webStep{kind: kind, n: r.IntN(100)}
	switch kind {
	case stepInform:
		s.n = oneOf(r, []int{http.StatusEarlyHints, http.StatusProcessing, 199})
	case stepStatus:
		s.n = oneOf(r, webStatuses)
	case stepLength, stepRead, stepLimit:
		s.n = webSize(r, 300_000)
	case stepWrite, stepText, stepCopy:
		most := 500_000
		if inline {
			most = 50_000
		}
		s.n = webSize(r, most)
	case stepPause:
		if s.n = r.IntN(10); inline {
			s.n = 0
		}
	}
	return s
}
