package web

import (
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/worker/workertest"
)

// served answers by a whole worker with this package's handler.
type served struct {
	t       testing.TB
	network string
	address string
}

func newServed(t testing.TB, h http.Handler, opts ...Option) *served {
	// A Unix socket: bytes that are sent are there, and no ports are used up.
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	workertest.Serve(t, l, Handler(h, opts...))
	return &served{t, "unix", l.Addr().String()}
}

// answer returns all that is answered to the fragments and a FIN behind them.
func (s *served) answer(fragments ...[]byte) string {
	c, err := net.Dial(s.network, s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for _, f := range fragments {
			if _, err := c.Write(f); err != nil {
				return // the server has answered, and ended
			}
		}
		_ = c.(*net.UnixConn).CloseWrite() // as above
	}()
	all, err := io.ReadAll(c)
	if err != nil && strings.Contains(err.Error(), "timeout") {
		s.t.Fatalf("the connection does not end; so far %q", all)
	}
	<-sent
	return string(all)
}

// date is what differs between two servers' answers.
var date = regexp.MustCompile(`Date: [^\r]*\r\n`)

// FuzzAgainstNetHTTP: net/http's server and ours, given the same bytes in the same
// fragments, give the same answers, by handlers that have seen the same, and then the
// connection has the same fate. Where ours is stricter, it ends there. The parser alone is
// given the fragments one by one; between a client and a worker, the kernel may join some.
func FuzzAgainstNetHTTP(f *testing.F) {
	for _, v := range vectors {
		if len(v.input) < 10_000 {
			f.Add([]byte(v.input), []byte{1})
			f.Add([]byte(v.input), []byte{20, 3, 90})
		}
	}
	std, whole, inline := newNetHTTP(f, http.HandlerFunc(described)), newServed(f, http.HandlerFunc(described)), newServed(f, http.HandlerFunc(described), Inline())
	f.Fuzz(func(t *testing.T, in, cuts []byte) {
		if len(in) > 20_000 {
			return
		}
		fragments := fragmented(in, cuts)
		theirs := parseAnswers(date.ReplaceAllString(std.answer(fragments...), ""))
		for name, answer := range map[string]func(...[]byte) string{
			"a worker": whole.answer,
			"Inline":   inline.answer,
			"the parser": func(fragments ...[]byte) string {
				return byParser(described, fragments...)
			},
		} {
			if name == "the parser" && strings.Contains(string(in), "HEAD") {
				continue // its answers are a recorder's
			}
			ours := parseAnswers(date.ReplaceAllString(answer(fragments...), ""))
			if n := len(ours.texts); n > 0 && strings.Contains(ours.texts[n-1], errLengths.text) {
				ours.texts = ours.texts[:n-1]
				stricter := theirs
				stricter.texts = theirs.texts[:min(n-1, len(theirs.texts))]
				compareAnswers(t, ours, stricter)
				continue
			}
			if compareAnswers(t, ours, theirs); t.Failed() {
				t.Fatalf("by %s", name)
			}
		}
	})
}

// fragmented cuts in into fragments, of which cuts are the lengths less one, over and over.
func fragmented(in, cuts []byte) (fragments [][]byte) {
	for i := 0; len(in) > 0; i++ {
		n := len(in)
		if len(cuts) > 0 {
			n = min(1+int(cuts[i%len(cuts)]), n)
		}
		fragments, in = append(fragments, in[:n]), in[n:]
	}
	return fragments
}
