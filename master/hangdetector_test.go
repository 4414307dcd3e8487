package master

import (
	"testing"
	"time"
)

func TestHangDetector(t *testing.T) {
	handling := sample{sequence: 7}
	waiting := sample{sequence: 8}
	tests := map[string]struct {
		samples []sample
		still   time.Duration // at the last one
	}{
		"first sample":                     {[]sample{handling}, 0},
		"in one handler":                   {[]sample{handling, handling, handling, handling}, 3 * time.Second},
		"handler after handler":            {[]sample{{sequence: 7}, {sequence: 9}, {sequence: 11}}, 0},
		"a new handler since":              {[]sample{handling, handling, {sequence: 9}, {sequence: 9}}, time.Second},
		"at rest":                          {[]sample{waiting, waiting, waiting}, 0},
		"waits with a queue":               {[]sample{waiting, {sequence: 8, queued: true}, {sequence: 8, queued: true}}, 2 * time.Second},
		"waits, but takes":                 {[]sample{{sequence: 8, queued: true, received: 1}, {sequence: 8, queued: true, received: 2}}, 0},
		"stopped":                          {[]sample{handling, {sequence: 7, stopped: true}, {sequence: 7, stopped: true}}, 0},
		"was stopped, goes on":             {[]sample{{sequence: 7, stopped: true}, {sequence: 7, stopped: true}, handling}, 0},
		"keeps no scoreboard":              {[]sample{{queued: true}, {queued: true}, {queued: true}}, 0},
		"in a handler, with a queue or so": {[]sample{{sequence: 7, queued: true}, {sequence: 7}, {sequence: 7, queued: true}}, 2 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var h hangDetector
			var still time.Duration
			now := time.Unix(0, 0)
			for _, s := range test.samples {
				still = h.observe(now, s)
				now = now.Add(sampleEvery)
			}
			if still != test.still {
				t.Errorf("stands still for %v, want %v", still, test.still)
			}
		})
	}
}

// A timer is never exact: when the second sample comes a little early after the
// first, two seconds are over all the same.
func TestHangDetectorEarlySample(t *testing.T) {
	var h hangDetector
	now := time.Unix(0, 0)
	handling := sample{sequence: 7}
	h.observe(now, handling)
	h.observe(now.Add(sampleEvery), handling)
	if still := h.observe(now.Add(2*sampleEvery-time.Millisecond), handling); still != 2*sampleEvery {
		t.Errorf("stands still for %v, want %v", still, 2*sampleEvery)
	}
}
