package web

import (
	"testing"
	"time"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/workertest"
)

// ReadTimeout counts from a connection's opening for its first request, and from a request's
// first byte for those behind it.
func TestReadTimeoutCountsFrom(t *testing.T) {
	for _, test := range []struct {
		name string
		opts []Option
	}{
		{"a bound of the head, too", []Option{ReadTimeout(time.Hour)}},
		{"no bound of the head", []Option{ReadTimeout(time.Hour), ReadHeaderTimeout(-1)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := Handler(nil, test.opts...).(*server)
			var first, second time.Time
			before := time.Now()
			c := workertest.New(t, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
				session, err := s.Open(c)
				h, ok := session.(*heading)
				if !ok {
					t.Fatalf("it opens with a %T", session)
				}
				after := time.Now()
				asked := incoming{server: s, conn: c, before: h.before, heading: h}
				first = asked.timed(after.Add(time.Minute))
				if first.Before(before) || first.After(after) {
					t.Errorf("it counts from %v, and was opened between %v and %v", first, before, after)
				}
				behind := incoming{server: s, conn: c, before: anything}
				second = behind.timed(after.Add(time.Minute))
				if want := after.Add(time.Minute); second != want {
					t.Errorf("behind it, it counts from %v, want %v", second, want)
				}
				return session, err
			})).Connect()
			if c.Send("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"); first.IsZero() {
				t.Error("nothing was opened")
			}
		})
	}
}
