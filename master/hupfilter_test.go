package master

import (
	"testing"
	"time"
)

// HUP is a request each time, but those that belong to one end of a terminal are one.
func TestHangUps(t *testing.T) {
	start := time.Now()
	type hangUp struct {
		after    time.Duration // the start
		terminal bool          // is there
		asks     bool
	}
	for name, test := range map[string]struct {
		terminal bool // at the start
		steps    []hangUp
	}{
		"no terminal":             {false, []hangUp{{0, false, true}, {0, false, true}, {time.Millisecond, false, true}}},
		"with one":                {true, []hangUp{{0, true, true}, {0, true, true}, {time.Millisecond, true, true}}},
		"its end":                 {true, []hangUp{{0, true, true}, {0, false, true}, {time.Millisecond, false, false}, {sameHangUp - 1, false, false}}},
		"its end and a request":   {true, []hangUp{{0, false, true}, {sameHangUp, false, true}, {sameHangUp, false, true}}},
		"another takes its place": {false, []hangUp{{0, true, true}, {0, false, true}, {0, false, false}}},
	} {
		h := hupFilter{terminal: test.terminal}
		for i, step := range test.steps {
			if got := h.isRequest(start.Add(step.after), step.terminal); got != step.asks {
				t.Errorf("%s, HUP %d: asks %t", name, i, got)
			}
		}
	}
}
