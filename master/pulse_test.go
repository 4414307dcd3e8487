package master

import (
	"testing"
	"time"
)

func TestPulse(t *testing.T) {
	handling := beat{sequence: 7}
	waiting := beat{sequence: 8}
	tests := map[string]struct {
		beats []beat
		still time.Duration // at the last one
	}{
		"first sample":                     {[]beat{handling}, 0},
		"in one handler":                   {[]beat{handling, handling, handling, handling}, 3 * time.Second},
		"handler after handler":            {[]beat{{sequence: 7}, {sequence: 9}, {sequence: 11}}, 0},
		"a new handler since":              {[]beat{handling, handling, {sequence: 9}, {sequence: 9}}, time.Second},
		"at rest":                          {[]beat{waiting, waiting, waiting}, 0},
		"waits with a queue":               {[]beat{waiting, {sequence: 8, queued: true}, {sequence: 8, queued: true}}, 2 * time.Second},
		"waits, but takes":                 {[]beat{{sequence: 8, queued: true, received: 1}, {sequence: 8, queued: true, received: 2}}, 0},
		"stopped":                          {[]beat{handling, {sequence: 7, stopped: true}, {sequence: 7, stopped: true}}, 0},
		"was stopped, goes on":             {[]beat{{sequence: 7, stopped: true}, {sequence: 7, stopped: true}, handling}, 0},
		"keeps no scoreboard":              {[]beat{{queued: true}, {queued: true}, {queued: true}}, 0},
		"in a handler, with a queue or so": {[]beat{{sequence: 7, queued: true}, {sequence: 7}, {sequence: 7, queued: true}}, 2 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var p pulse
			var still time.Duration
			now := time.Unix(0, 0)
			for _, b := range test.beats {
				still = p.feel(now, b)
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
func TestPulseEarlySample(t *testing.T) {
	var p pulse
	now := time.Unix(0, 0)
	handling := beat{sequence: 7}
	p.feel(now, handling)
	p.feel(now.Add(sampleEvery), handling)
	if still := p.feel(now.Add(2*sampleEvery-time.Millisecond), handling); still != 2*sampleEvery {
		t.Errorf("stands still for %v, want %v", still, 2*sampleEvery)
	}
}
