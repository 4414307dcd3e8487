package worker_test

import (
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/framing"
	"github.com/usher-go/usher/worker/web"
	"github.com/usher-go/usher/worker/workertest"
)

type bare struct{}

func (bare) Data(_ *worker.Conn, in []byte) (int, error) { return len(in), nil }

// right has all callbacks as they are called.
type right struct{ bare }

func (right) EOF(*worker.Conn, []byte) error { return nil }
func (right) Close(*worker.Conn, error)      {}
func (right) Drain(*worker.Conn)             {}
func (right) About(*worker.Conn) string      { return "" }
func (right) Low(*worker.Conn)               {}
func (right) Leave(*worker.Conn)             {}
func (right) MarshalBinary() ([]byte, error) { return nil, nil }
func (right) UnmarshalBinary([]byte) error   { return nil }

type shortEOF struct{ bare }

func (shortEOF) EOF(*worker.Conn) error { return nil }

type mute struct{ bare }

func (mute) About() string { return "" }

type halfMovable struct{ bare }

func (halfMovable) MarshalBinary() ([]byte, error) { return nil, nil }

// stateful brings a session one half of what moves.
type stateful struct{}

func (stateful) MarshalBinary() ([]byte, error) { return nil, nil }

type bringsHalf struct {
	bare
	stateful
}

type hasOtherHalf struct {
	bare
	stateful
}

func (hasOtherHalf) UnmarshalBinary([]byte) error { return nil }

type pointed struct{ bare }

func (*pointed) Drain(*worker.Conn) {}

// wrapping has a Close for others, and what its field brings.
type wrapping struct {
	bare
	*worker.Conn
}

type shutting struct{ bare }

func (shutting) Close() error { return nil }

// TestOverlookedMethods is a session whose method has a callback's name and another form.
func TestOverlookedMethods(t *testing.T) {
	tests := map[string]struct {
		session worker.Session
		want    string // in the log; empty: nothing is
	}{
		"none":               {bare{}, ""},
		"all":                {right{}, ""},
		"a pointer":          {&right{}, ""},
		"a function":         {worker.DataFunc(echo), ""},
		"EOF without a rest": {shortEOF{}, `session=worker_test.shortEOF method=EOF reason="it is func(*worker.Conn) error, and would have to be func(*worker.Conn, []uint8) error"`},
		"About of nothing":   {&mute{}, `method=About reason="it is func() string, and would have to be func(*worker.Conn) string"`},
		"half of a move":     {halfMovable{}, "there is only one of them: such connections do not move"},
		"half by a field":    {bringsHalf{}, ""},
		"half by each":       {hasOtherHalf{}, ""},
		"not the pointer":    {pointed{}, `method=Drain reason="it is a method of *worker_test.pointed: Open has to return a pointer"`},
		"the pointer":        {&pointed{}, ""},
		"an embedded Conn":   {wrapping{}, ""},
		"an io.Closer":       {shutting{}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			log := openings(t, worker.OpenFunc(func(*worker.Conn) (worker.Session, error) { return test.session, nil }))
			if test.want == "" && log != "" || !strings.Contains(log, test.want) || strings.Count(log, "\n") > 1 {
				t.Errorf("two connections were opened, and the log says %q, want one line with %q", log, test.want)
			}
		})
	}
}

// TestOwnSessionsOverlookNothing has the sessions of packages framing and web opened.
func TestOwnSessionsOverlookNothing(t *testing.T) {
	lines := framing.Handler(framing.Lines(80), func(*worker.Conn, []byte) error { return nil })
	for name, h := range map[string]worker.Handler{"framing": lines, "web": web.Handler(nil)} {
		if log := openings(t, h); log != "" {
			t.Errorf("%s: %s", name, log)
		}
	}
}

// openings is what is logged when a handler has opened two connections.
func openings(t *testing.T, h worker.Handler) string {
	var log strings.Builder
	w := workertest.New(t, h, worker.WithLogger(hclog.New(&hclog.LoggerOptions{Output: &log})))
	w.Connect()
	w.Connect()
	return log.String()
}
