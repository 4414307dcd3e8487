package master

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
)

// eventObject is what an event's text says.
type eventObject struct {
	ID          uint64
	Time        time.Time
	Level, Name string
	Fields      map[string]json.RawMessage
}

// object reads an event's text.
func object(t *testing.T, text string) (o eventObject) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &o); err != nil || strings.Contains(text, "\n") {
		t.Fatalf("%q: %v; want one line of JSON", text, err)
	}
	if since := time.Since(o.Time); since < 0 || since > time.Hour || o.Time.Location() != time.UTC {
		t.Errorf("its time is %v", o.Time)
	}
	return o
}

// Each line that a logger writes is an event, whatever the level of the log.
func TestEventsAreLogLines(t *testing.T) {
	var l eventLog
	var out strings.Builder
	quiet := hclog.New(&hclog.LoggerOptions{Output: &out, Level: hclog.Error})
	log := l.logger(quiet, hclog.Debug)
	log.Trace("below")
	log.Debug("one", "slot", 3, "from", lifeGone, "elapsed", 1500*time.Millisecond)
	log.With("slot", uint8(4)).Named("part").Info("two", "error", errors.New("a \"quoted\"\nline \xff"), "on", true)
	log.ResetNamed("part").Warn("three", "list", []string{"a", "b"}, "none", nil, "odd")
	log.Error("four", "long", strings.Repeat("x", 2*maxEventValue), "share", 0.5)
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "four") {
		t.Errorf("the log has %q", got)
	}
	want := []struct{ name, level, fields string }{
		{"one", "debug", `{"elapsed":"1.5s","from":"gone","slot":3}`},
		{"two", "info", `{"error":"a \"quoted\"\nline \ufffd","on":true,"slot":4}`},
		{"three", "warn", `{"list":"[a b]","none":"\u003cnil\u003e"}`},
		{"four", "error", `{"long":"` + strings.Repeat("x", maxEventValue) + `…","share":"0.5"}`},
	}
	events, missed, _ := l.after(0, 1<<20)
	if len(events) != len(want) || missed != 0 {
		t.Fatalf("%d events, %d missed", len(events), missed)
	}
	for n, e := range events {
		o := object(t, e.text)
		fields, _ := json.Marshal(o.Fields)
		if o.ID != uint64(n+1) || e.id != o.ID || o.Name != want[n].name || o.Level != want[n].level || string(fields) != want[n].fields {
			t.Errorf("event %d: %s", n+1, e.text)
		}
	}
}

// What is kept is bounded, in events and in bytes, and who comes late is told how many
// it has missed.
func TestEventLogIsBounded(t *testing.T) {
	for name, test := range map[string]struct {
		value     string
		all, most int
	}{
		"short ones": {"", 3 * maxEvents, maxEvents},
		"long ones":  {strings.Repeat("x", maxEventValue), 400, maxEventBytes / maxEventValue},
	} {
		t.Run(name, func(t *testing.T) {
			var l eventLog
			log := l.logger(hclog.NewNullLogger(), hclog.Info)
			for range test.all {
				log.Info("it", "value", test.value)
			}
			before, last := l.bounds()
			kept := int(last - before)
			if last != uint64(test.all) || kept > test.most || kept < test.most*9/10 || l.size > maxEventBytes || len(l.kept) != kept {
				t.Errorf("%d of %d kept, %d bytes", kept, last, l.size)
			}
			events, missed, _ := l.after(7, 1<<30)
			if missed != before-7 || len(events) != kept || events[0].id != before+1 {
				t.Errorf("after 7: %d missed, %d events, %d kept", missed, len(events), kept)
			}
			if events, _, _ = l.after(before, 1); len(events) != 1 {
				t.Errorf("%d events in a byte, want 1", len(events))
			}
			if events, _, _ = l.after(last-2, 1<<20); len(events) != 2 {
				t.Errorf("%d events after the last but two", len(events))
			}
		})
	}
}

// Who waits is told of the next event, and only of that.
func TestEventLogWakesReaders(t *testing.T) {
	var l eventLog
	_, _, changed := l.after(0, 1)
	_, _, also := l.after(0, 1)
	select {
	case <-changed:
		t.Error("told of nothing")
	default:
	}
	l.add(hclog.Info, "it", nil)
	<-changed
	<-also
	if _, _, changed = l.after(0, 1); changed != nil {
		t.Error("to wait, though there is one")
	}
}

// The program that takes over goes on with the ids, and keeps what was kept.
func TestEventLogRestored(t *testing.T) {
	for name, most := range map[string]int{"none": 0, "some": 3, "more than are kept": maxEvents + 5} {
		t.Run(name, func(t *testing.T) {
			var before, after eventLog
			for n := range most {
				before.add(hclog.Info, "before", []any{"n", n})
			}
			after.add(hclog.Warn, "early", nil)
			after.restore(before.state())
			first, last := after.bounds()
			if want := before.last + 1; last != want || len(after.kept) != int(last-first) {
				t.Fatalf("ids from %d to %d, want up to %d", first, last, want)
			}
			size := 0
			for n, e := range after.kept {
				if o := object(t, e.text); o.ID != e.id || e.id != first+1+uint64(n) {
					t.Fatalf("event %d says %s", e.id, e.text)
				}
				size += len(e.text)
			}
			if size != after.size {
				t.Errorf("%d bytes, counted %d", size, after.size)
			}
			if got := object(t, after.kept[len(after.kept)-1].text).Name; got != "early" {
				t.Errorf("the last is %q", got)
			}
			if diff := cmp.Diff(kept(&before, 3), kept(&after, 4)[:min(most, 3)]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// kept returns the texts of the last n events.
func kept(l *eventLog, n int) (texts []string) {
	texts = []string{}
	for _, e := range l.kept[max(0, len(l.kept)-n):] {
		texts = append(texts, e.text)
	}
	return texts
}

func BenchmarkEvent(b *testing.B) {
	var l eventLog
	log := l.logger(hclog.New(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Error}), hclog.Info)
	for b.Loop() {
		log.Info("worker ready", "slot", 3, "generation", 2, "pid", 12345)
	}
}
