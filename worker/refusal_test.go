package worker

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// The warning of refusals counts them by reason, and says of one whom it met, where, and
// what may be done: of the last, unless one is our own doing.
func TestRefusalsWarned(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := refusals{log: hclog.New(&hclog.LoggerOptions{Output: &out})}
	defer s.end()
	note := func(peer string, r refusal) { s.note(1, netip.MustParseAddrPort(peer), "web", r) }
	warned := func(parts ...string) {
		t.Helper()
		for _, part := range append(parts, "listener=web") {
			if !strings.Contains(out.String(), part) {
				t.Errorf("no %q in %q", part, out.String())
			}
		}
		out.Reset()
	}
	note("192.0.2.1:1", refusedUntrusted)
	warned("[WARN]", "count=1", "peer=192.0.2.1:1", "add its address to trust=")
	note("192.0.2.2:2", refusedCrowd)
	note("192.0.2.3:3", refusedLate)
	note("192.0.2.4:4", refusedGone) // is of no interest
	if out.Len() > 0 {
		t.Errorf("warned at once: %q", out.String())
	}
	s.warnAgain()
	warned("[WARN]", "count=2", "PROXY header late: 1", "peer=192.0.2.3:3", "have the proxy send one")
	note("192.0.2.5:5", refusedTransport(errors.New("some number")))
	note("192.0.2.6:6", refusedLate)
	s.warnAgain()
	warned("[ERROR]", "count=2", "peer=192.0.2.5:5", "some number")
}
