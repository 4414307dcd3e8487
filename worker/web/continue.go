package web

import "net/http"

// expectsContinue tells whether a client waits for 100 Continue before it sends the body
// (RFC 9110, section 10.1.1), as net/http tells: the token is anywhere in the first line
// of Expect, between commas, spaces and tabs.
func expectsContinue(r *http.Request) bool {
	lines := r.Header["Expect"]
	return len(lines) > 0 && hasToken(lines[0], "100-continue")
}

// expect is asked by newBody: the first Read tells a client that waits to go on.
func (b *body) expect(r *http.Request) {
	if r.ProtoAtLeast(1, 1) && expectsContinue(r) {
		b.expecting = true
		b.due.Store(true)
	}
}

// unasked tells whether the client waited, or waits, for 100 Continue, and the handler has
// not read the body to its end: it may never be sent, so that the connection is not to serve
// another request. That Close has read it does not count, as with net/http. It is for any goroutine; b may be nil.
func (b *body) unasked() bool {
	return b != nil && b.expecting && !b.asked.Load()
}
