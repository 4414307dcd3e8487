package web

import (
	"context"
	"net/http"
	"time"

	"github.com/usher-go/usher/internal/forweb"
	"github.com/usher-go/usher/worker"
)

// incoming is the input of a connection between requests, and what becomes of it within
// one call of Data. It belongs to the loop's goroutine.
type incoming struct {
	server  *server
	conn    *worker.Conn
	before  previous
	heading *heading // the session, unless that is one of the shared ones
	ended   bool     // no more comes
}

// maxInput bounds what a connection of which input waits may keep: a head, or a body that
// is to be here whole, and what one read adds.
func (s *server) maxInput() int { return s.parser.limit() + 2*maxInlineBody + 64<<10 }

// take begins the requests in in, and returns how many bytes it consumed. It stops at one
// that is not here whole, and at one that is served on a goroutine.
func (t *incoming) take(in []byte) (n int, err error) {
	for len(in) > n {
		rest := in[n:]
		searched := 0
		if t.heading != nil {
			searched = t.heading.searched
		}
		skip, end, err := t.server.parser.next(rest, searched, t.before)
		if err != nil {
			return n + t.refuse(err, rest), nil
		}
		if end == 0 {
			t.wait(rest)
			return n, nil
		}
		used, on := t.begin(rest[skip:], end-skip)
		if used == 0 { // it waits for its body, and will be looked at again
			return n, nil
		}
		if n += skip + used; !on {
			if n < len(in) && forweb.Of(t.conn).Choked() {
				t.hold()
			}
			return n, nil
		}
	}
	return n, nil
}

// wait remembers that a part of a head is here.
func (t *incoming) wait(in []byte) {
	h := t.remember()
	if h.searched == 0 {
		h.begin(t.conn)
		t.conn.SetMaxInput(t.server.maxInput())
	}
	h.searched = len(in)
}

// hold makes room for requests that wait for the client to read: however many it has sent
// ahead, no more than one read brings, it is not to blame.
func (t *incoming) hold() {
	t.remember()
	t.conn.SetMaxInput(t.server.maxInput())
}

// remember has the connection get a session of its own.
func (t *incoming) remember() *heading {
	if t.heading == nil {
		t.heading = &heading{server: t.server, before: t.before}
		forweb.Of(t.conn).Become(t.heading)
	}
	return t.heading
}

// refuse answers what is no request, and closes. It consumes all of in.
func (t *incoming) refuse(err error, in []byte) int {
	if t.heading != nil {
		t.heading.stop()
	}
	t.server.refuse(t.conn, err, in)
	return len(in)
}

// refuse answers what is no request, if there is an answer, and closes. in begins with what
// was said.
func (s *server) refuse(c *worker.Conn, err error, in []byte) {
	if r, ok := err.(*refusal); ok {
		_, _ = c.Write(r.append(nil)) // it is closed in any case
		forweb.Of(c).Answered(r.status, -1)
		logRefusal(c, r, in)
	}
	closeQuietly(c)
}

// begin serves the request whose head in[:end] is, and returns how many bytes of in it
// consumed, and whether the next one may begin. 0 says that it waits for its body.
func (t *incoming) begin(in []byte, end int) (used int, on bool) {
	if s := t.server; s.inline || s.inlineHandler != nil {
		return t.beginInline(in, end)
	}
	x := new(exchange)
	x.requestContext = &x.own
	r, b, err := t.read(x.requestContext, in[:end])
	if err != nil {
		return t.refuse(err, in), false
	}
	return t.start(x, r, b, in, end), false
}

// read makes a request of a head.
func (t *incoming) read(ctx *requestContext, head []byte) (*http.Request, *body, error) {
	ctx.server, ctx.conn = t.server, t.conn
	r, b, err := t.server.parser.read(context.Context(ctx), head)
	if err != nil {
		return nil, nil, err
	}
	t.server.parser.credit(r, t.conn.RemoteAddr())
	if state, ok := t.conn.TLS(); ok {
		r.TLS = connectionState(state)
	}
	return r, b, nil
}

// headDone ends the heading: its head is here. It returns when the request began.
func (t *incoming) headDone() (began time.Time) {
	if t.before == nothing && t.server.idleLater {
		t.server.boundIdle(t.conn)
	}
	h := t.heading
	if h != nil {
		began = h.began
		h.stop()
		h.searched = 0
	}
	if began.IsZero() {
		began = time.Now()
	}
	return began
}

// timed returns from when on ReadTimeout counts, for a request that began at began.
func (t *incoming) timed(began time.Time) time.Time {
	if h := t.heading; h != nil && !h.opened.IsZero() {
		return h.opened
	}
	return began
}

// start serves a request on a goroutine. It returns how many bytes of in it consumed.
func (t *incoming) start(x *exchange, r *http.Request, b *body, in []byte, end int) int {
	s, c := t.server, t.conn
	x.began, x.request, x.body = t.headDone(), r, b
	x.finishing.Store(t.heading != nil && t.heading.last)
	x.held = t.heading != nil
	x.pipe.open(c)
	if s.writeTimeout > 0 {
		x.pipe.deadline = time.Now().Add(s.writeTimeout)
	}
	if b != nil {
		b.feed.resume, b.atEnd = x.resume, x.bodyRead
		if s.readTimeout > 0 {
			b.setReadDeadline(t.timed(x.began).Add(s.readTimeout))
		}
	}
	if !x.start() {
		return t.busy(r, b, in, end)
	}
	n := 0
	if end < len(in) {
		n, _ = x.Data(c, in[end:]) // it never fails
	}
	if t.ended {
		_ = x.EOF(c, nil) // likewise
	}
	return end + n
}

// busy answers that too many requests wait already. It consumes what it must not leave.
func (t *incoming) busy(r *http.Request, b *body, in []byte, end int) int {
	x := &inlined{requestContext: requestContext{server: t.server, conn: t.conn}, final: b != nil || len(in) > end}
	x.response.open(r, nil, x, &t.server.settings)
	x.serve(&x.response, r, http.HandlerFunc(tooBusy))
	b.finish(false)
	if x.after(); x.ending == keepAlive {
		t.goOn(r)
	}
	return len(in)
}

// tooBusy is the handler of requests beyond MaxRunning and those that wait.
func tooBusy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, "503 service unavailable", http.StatusServiceUnavailable)
}

// goOn has the connection wait for the request behind r.
func (t *incoming) goOn(r *http.Request) {
	before := after(r)
	if t.heading == nil && before == t.before {
		return
	}
	if t.heading != nil {
		t.conn.SetMaxInput(0)
	}
	t.heading, t.before = nil, before
	forweb.Of(t.conn).Become(&t.server.idle[before])
}
