// What is given to net/http's tests in the place of what they have of net/http's own:
// see TestNetHTTP. HTTP/1 is the server under test's, plain and by TLS, which is in the place
// of HTTP/2 too: that is net/http's, and left to tests that compare the two.

package http_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

var quietLog = log.New(io.Discard, "", 0)

func setParallel(*testing.T) {} // who serves how many requests is told by the order

func afterTest(testing.TB) { http.DefaultTransport.(*http.Transport).CloseIdleConnections() }

func CondSkipHTTP2(testing.TB) {}

// SetRSTAvoidanceDelay is about how long net/http's server lingers.
func SetRSTAvoidanceDelay(*testing.T, time.Duration) {}

func run[T TBRun[T]](t T, f func(t T, mode testMode), opts ...any) {
	t.Helper()
	modes := []testMode{http1Mode, https1Mode}
	for _, opt := range opts {
		switch opt := opt.(type) {
		case testSkipMode:
			modes = slices.DeleteFunc(modes, func(m testMode) bool { return slices.Contains(opt, m) })
		case testAddMode:
			modes = append(modes, opt...)
		case []testMode:
			modes = opt
		}
	}
	for _, mode := range modes {
		if mode == http1Mode || mode == https1Mode {
			t.Run(string(mode), func(t T) { f(t, mode) })
		}
	}
}

// runSynctest is for tests in which only time passes; here it is the real one.
func runSynctest(t *testing.T, f func(t *testing.T, mode testMode), opts ...any) { run(t, f, opts...) }

type clientServerTest struct {
	t  testing.TB
	h2 bool
	h  http.Handler
	ts *httptest.Server
	tr *http.Transport
	c  *http.Client
}

func (c *clientServerTest) close() {
	c.tr.CloseIdleConnections()
	c.ts.Close()
}

func (c *clientServerTest) getURL(u string) string {
	res, err := c.c.Get(u)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

func (c *clientServerTest) scheme() string {
	scheme, _, _ := strings.Cut(c.ts.URL, ":")
	return scheme
}

func newClientServerTest(t testing.TB, mode testMode, h http.Handler, opts ...any) *clientServerTest {
	c := &clientServerTest{t: t, h2: mode == http2Mode, h: h, ts: httptest.NewUnstartedServer(h)}
	for _, opt := range opts {
		switch opt := opt.(type) {
		case func(*httptest.Server):
			opt(c.ts)
		case func(*http.Server):
			opt(c.ts.Config)
		}
	}
	if c.ts.Config.ErrorLog == nil {
		c.ts.Config.ErrorLog = log.New(testLogWriter{t}, "", 0)
	}
	c.ts.EnableHTTP2 = c.h2
	switch mode {
	case http1Mode:
		c.ts.Start()
	case https1Mode, http2Mode:
		c.ts.StartTLS()
	default:
		t.Fatalf("mode %s", mode)
	}
	c.c = c.ts.Client()
	c.tr = c.c.Transport.(*http.Transport)
	for _, opt := range opts {
		if f, ok := opt.(func(*http.Transport)); ok {
			f(c.tr)
		}
	}
	t.Cleanup(c.close)
	return c
}

type testLogWriter struct{ t testing.TB }

func (w testLogWriter) Write(b []byte) (int, error) {
	w.t.Logf("server log: %s", strings.TrimSpace(string(b)))
	return len(b), nil
}
