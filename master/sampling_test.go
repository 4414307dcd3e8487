package master

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestRestEvery(t *testing.T) {
	tests := map[string]struct{ hangTimeout, want time.Duration }{
		"the default":           {hangTimeout: 30 * time.Second, want: 7500 * time.Millisecond},
		"nothing asked for":     {want: longestRest},
		"a long hang-timeout":   {hangTimeout: time.Hour, want: longestRest},
		"the shortest there is": {hangTimeout: 2 * sampleEvery, want: sampleEvery},
	}
	for name, test := range tests {
		if got := restEvery(test.hangTimeout); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// rest starts two workers that wait, and lets time pass until samples of them
// have become rare.
func rest(t *testing.T, hangTimeout time.Duration) *fakeMaster {
	fm := newFakeMaster(2, 2)
	fm.look(func() {
		fm.config.HangTimeout = hangTimeout
		for slot := range 2 {
			fm.entries = append(fm.entries, fm.slots[slot].entry())
			fm.entries[slot].Sequence.Store(2)
		}
	})
	t.Cleanup(fm.abandon)
	time.Sleep(time.Minute)
	synctest.Wait()
	return fm
}

// samplesIn returns how many samples there are in some time of rest.
func (fm *fakeMaster) samplesIn(d time.Duration) int {
	before := fm.samples.Load()
	time.Sleep(d)
	synctest.Wait()
	return int(fm.samples.Load() - before)
}

// While nothing happens samples are rare, and whatever happens brings them back.
func TestSamplesRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hangTimeout = 30 * time.Second
		fm := rest(t, hangTimeout)
		if got := fm.samplesIn(time.Hour); got != 480 {
			t.Errorf("at rest: %d samples in an hour, want 480", got)
		}
		entry := fm.entries[1]
		disturb := map[string]func(){
			"an event":              func() { fm.look(func() {}) },
			"a worker that is busy": func() { entry.Sequence.Add(1) },
			"and waits again":       func() { entry.Sequence.Add(1) },
			"a connection":          func() { entry.Received.Add(1) },
		}
		for _, name := range []string{"an event", "a worker that is busy", "and waits again", "a connection"} {
			disturb[name]()
			if name != "an event" { // which brings it at once
				for fm.samplesIn(sampleEvery/10) == 0 {
				}
			}
			if got := fm.samplesIn(sampleEvery); got != 1 {
				t.Errorf("after %s: %d samples in a second, want 1", name, got)
			}
			if name != "a worker that is busy" {
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := fm.samplesIn(time.Minute); got != 8 {
					t.Errorf("a while after %s: %d samples in a minute, want 8", name, got)
				}
			}
		}
	})
}

// What only a sample finds due keeps it coming.
func TestSamplesDoNotRest(t *testing.T) {
	tests := map[string]func(*fakeMaster){
		"rebalance":     func(fm *fakeMaster) { fm.config.Rebalance = true },
		"recycle-conns": func(fm *fakeMaster) { fm.config.RecycleConns = 1000 },
		"recycle-age":   func(fm *fakeMaster) { fm.config.RecycleAge = time.Hour * 1000 },
		"recycle-rss":   func(fm *fakeMaster) { fm.config.RecycleRSS = 1 << 40 },
		"a drain":       func(fm *fakeMaster) { fm.slots[0].life = lifeFinishing },
		"an abort":      func(fm *fakeMaster) { fm.slots[0].life = lifeKilled },
	}
	for name, set := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fm := rest(t, 30*time.Second)
				fm.look(func() { set(fm) })
				if got := fm.samplesIn(time.Minute); got < 59 {
					t.Errorf("%d samples in a minute, want one a second", got)
				}
				fm.look(func() { fm.slots[0].life = lifeServing })
			})
		})
	}
}

// A hang that begins in the midst of a rest is found by the next sample, and its
// time counts from there.
func TestHangFromRest(t *testing.T) {
	for _, after := range []time.Duration{0, time.Second, 3 * time.Second, 7400 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			const hangTimeout = 30 * time.Second
			fm := rest(t, hangTimeout)
			time.Sleep(after)
			synctest.Wait()
			fm.entries[0].Sequence.Add(1)
			start := time.Now()
			time.Sleep(time.Minute)
			var aborted time.Time
			fm.look(func() { aborted = fm.aborted })
			most := hangTimeout + restEvery(hangTimeout) + sampleEvery
			if took := aborted.Sub(start); took < hangTimeout-sampleEvery/10 || took > most {
				t.Errorf("%v after a sample: aborted after %v, want from %v to %v", after, took, hangTimeout, most)
			}
		})
	}
}
