package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
)

// webAnswered is one answer of a server, as far as it matters.
type webAnswered struct {
	status  int
	head    string // as it came, but for what time it was
	body    []byte
	trailer string
	err     error // the body, or the head, is not whole
}

// informs says that another one follows to the same request.
func (a *webAnswered) informs() bool {
	return a.status >= 100 && a.status < 200 && a.status != http.StatusSwitchingProtocols
}

// ends says that the connection ends behind it.
func (a *webAnswered) ends() bool {
	return a.err != nil || strings.Contains(a.head, "\r\nConnection: close\r\n") || strings.HasPrefix(a.head, "HTTP/1.0") && !strings.Contains(a.head, "\r\nConnection: keep-alive\r\n")
}

func (a *webAnswered) equal(b *webAnswered) bool {
	return a.head == b.head && bytes.Equal(a.body, b.body) && a.trailer == b.trailer && fmt.Sprint(a.err) == fmt.Sprint(b.err)
}

// untilEnd says that only the end of the connection ends it, and that it is no refusal.
func (a *webAnswered) untilEnd() bool {
	counted := strings.Contains(a.head, "\r\nContent-Length: ") && !strings.Contains(a.head, "\r\nContent-Length: many\r\n")
	return !counted && !strings.HasPrefix(a.head, "HTTP/1.1 400 ") && !strings.Contains(a.head, "\r\nTransfer-Encoding: chunked\r\n")
}

// begins says that there is no more of a than there is in b.
func (a *webAnswered) begins(b *webAnswered) bool {
	return strings.HasPrefix(b.head, a.head) && bytes.HasPrefix(b.body, a.body)
}

// silent is the last answer of a connection without what it says of that. net/http promises
// HTTP/1.0 to keep the connection though it cannot find the end of its request, and does not
// say that it ends if the handler has closed a body that is broken (docs/web.md).
func (a *webAnswered) silent(broken bool) *webAnswered {
	b := *a
	if broken || strings.HasPrefix(a.head, "HTTP/1.0") {
		b.head = strings.NewReplacer("\r\nConnection: keep-alive\r\n", "\r\n", "\r\nConnection: close\r\n", "\r\n").Replace(a.head)
	}
	return &b
}

// differs tells a person where a differs from b.
func (a *webAnswered) differs(b *webAnswered) string {
	tell := func(a, b *webAnswered) string {
		at := 0
		for at < min(len(a.body), len(b.body)) && a.body[at] == b.body[at] {
			at++
		}
		return fmt.Sprintf("%q, %d bytes, byte %d on: %.400q; trailer %s, %v", a.head, len(a.body), at, a.body[at:], a.trailer, a.err)
	}
	return tell(a, b) + "; want\n" + tell(b, a)
}

var webDate = regexp.MustCompile(`\r\nDate: [^\r]* GMT\r\n`)

// parseWebAnswers reads what a server has sent in answer to requests by methods.
func parseWebAnswers(all []byte, methods []string) (answers []*webAnswered) {
	for len(all) > 0 {
		a := new(webAnswered)
		answers = append(answers, a)
		end := bytes.Index(all, []byte("\r\n\r\n")) + 4
		if end < 4 {
			a.head, a.err = string(all), io.ErrUnexpectedEOF
			break
		}
		a.head = webDate.ReplaceAllString(string(all[:end]), "\r\nDate: now\r\n")
		request := &http.Request{Method: "GET"}
		if len(methods) > 0 {
			request.Method = methods[0]
		}
		left := bytes.NewReader(all)
		in := bufio.NewReader(left)
		response, err := http.ReadResponse(in, request)
		if err != nil {
			a.err = err
			break
		}
		a.status = response.StatusCode
		if a.status == http.StatusSwitchingProtocols {
			a.body = all[end:]
			break
		}
		a.body, a.err = io.ReadAll(response.Body)
		a.trailer = webFields(response.Trailer)
		all = all[len(all)-left.Len()-in.Buffered():]
		if a.err != nil {
			a.trailer = string(all) // where another would begin nobody knows
			break
		}
		if !a.informs() && len(methods) > 0 {
			methods = methods[1:]
		}
	}
	return answers
}

// webTwoLengths is the answer to a request that net/http serves and worker/web does not.
const webTwoLengths = "HTTP/1.1 400 Bad Request: more than one length\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" +
	"400 Bad Request: more than one length"

// expected is what worker/web answers where net/http's server has answered theirs.
func (k *webScript) expected(theirs []*webAnswered) []*webAnswered {
	if k.strict < 0 || len(k.in) < k.headEnd {
		return theirs
	}
	final, from := 0, 0 // the answers to the requests before it
	for i, a := range theirs {
		if final == k.strict {
			return append(theirs[:from:from], parseWebAnswers([]byte(webTwoLengths), k.methods[k.strict:])...)
		}
		if a.informs() {
			continue
		}
		if a.ends() {
			break
		}
		final, from = final+1, i+1
	}
	return theirs
}

// compare returns how the answers differ from those wanted. To a client that resets its
// connection some are missing, and the last may be cut; and so if the server has, since an
// answer was aborted that only the end of the connection ends (docs/web.md).
func (k *webScript) compare(ours, want []*webAnswered, reset bool) error {
	n := max(len(ours), len(want))
	switch {
	case k.ending == webResets:
		n = max(len(ours)-1, 0)
	case reset && len(want) > 0 && want[len(want)-1].untilEnd() && len(ours) <= len(want):
		n = max(len(ours)-1, 0)
		if len(ours) > 0 && !ours[n].silent(k.broken).begins(want[n].silent(k.broken)) {
			return fmt.Errorf("answer %d is\n%s", n, ours[n].differs(want[n]))
		}
	}
	for i := range n {
		last := i == len(want)-1
		switch {
		case i >= len(ours):
			return fmt.Errorf("answer %d is missing; want %q", i, want[i].head)
		case i >= len(want):
			return fmt.Errorf("answer %d is too many: %q", i, ours[i].head)
		case ours[i].equal(want[i]):
		case !last || !ours[i].silent(k.broken).equal(want[i].silent(k.broken)):
			return fmt.Errorf("answer %d is\n%s", i, ours[i].differs(want[i]))
		}
	}
	return nil
}

// String is what is sent, for a person.
func (k *webScript) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d bytes, ending %d, strict %d:\n", len(k.in), k.ending, k.strict)
	for _, q := range k.requests {
		fmt.Fprintf(&b, "  %q, body of %d bytes %.60q\n", q.head, len(q.body), q.body)
	}
	return b.String()
}
