package web_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/usher-go/usher/worker/web"
	"github.com/usher-go/usher/worker/workertest"
)

// What bounds the wait for the first request, and for the next one. Less than 0 is no bound,
// where 0 is another option's.
func TestWaitsForRequests(t *testing.T) {
	read, noHeader, idle, noIdle := web.ReadTimeout(time.Second), web.ReadHeaderTimeout(-1), web.IdleTimeout(time.Second), web.IdleTimeout(-1)
	for _, test := range []struct {
		name        string
		opts        []web.Option
		first, next bool // whether they are bounded
	}{
		{"none", nil, false, false},
		{"ReadTimeout", []web.Option{read}, true, true},
		{"IdleTimeout", []web.Option{idle}, true, true},
		{"ReadTimeout, no ReadHeaderTimeout", []web.Option{read, noHeader}, false, true},
		{"ReadTimeout, no IdleTimeout", []web.Option{read, noIdle}, true, false},
		{"ReadTimeout, neither of them", []web.Option{read, noHeader, noIdle}, false, false},
		{"IdleTimeout, no ReadHeaderTimeout", []web.Option{idle, noHeader}, false, true},
		{"less than 0, all", []web.Option{web.ReadTimeout(-1), noHeader, noIdle, web.WriteTimeout(-1)}, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := workertest.New(t, web.Handler(http.HandlerFunc(say), append(test.opts, web.Inline())...))
			c := w.Connect()
			w.Advance(time.Hour)
			if ended := c.Ended(); ended != test.first {
				t.Errorf("ended after an hour without a request: %t, want %t", ended, test.first)
			}
			c = w.Connect()
			c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			if c.Received() == "" || c.Ended() {
				t.Fatal("no answer")
			}
			w.Advance(time.Hour)
			if ended := c.Ended(); ended != test.next {
				t.Errorf("ended after an hour without a second request: %t, want %t", ended, test.next)
			}
		})
	}
}
