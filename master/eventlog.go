package master

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// eventLog keeps the latest transitions of the server, as GET /v1/events gives them:
// what the log says of them, whatever its level. The place that logs a transition is the
// one that makes its event: see logger. Each has an id, one more than that of the event
// before, through upgrades too.
//
// Any goroutine may call its methods. None of them waits: who adds an event has the same
// work to do whether nobody reads or a thousand do.
type eventLog struct {
	mu      sync.Mutex
	kept    []event       // oldest first, their ids without a gap
	size    int           // bytes of their texts
	last    uint64        // the latest id; 0: there was no event yet
	changed chan struct{} // closed after the next event; nil: nobody waits for it
	readers int
}

// event is one transition.
type event struct {
	id uint64
	// text is a JSON object in one line: id, time (RFC 3339, UTC, with microseconds), level
	// and name (the message) of the log line, and fields, an object of its keys.
	text string
}

// The bounds of what the event log costs.
const (
	maxEvents     = 4096    // kept: a reload of 256 workers makes some 3000
	maxEventBytes = 1 << 20 // of the texts of those kept
	maxEventValue = 8 << 10 // of one value, in bytes; a longer one is cut
	// maxEventReaders is how many clients may follow the events at a time.
	maxEventReaders = 128
)

// eventTime is the form of an event's time.
const eventTime = "2006-01-02T15:04:05.000000Z07:00"

// add makes an event of a log line.
func (l *eventLog) add(level hclog.Level, name string, args []any) {
	rest := eventRest(level, name, args)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	l.keep(numbered(l.last, rest))
	if changed := l.changed; changed != nil {
		l.changed = nil
		go close(changed) // waking takes longer the more wait
	}
}

// keep adds an event, and drops the oldest beyond the bounds. To be called with mu held.
func (l *eventLog) keep(e event) {
	l.kept = append(l.kept, e)
	l.size += len(e.text)
	for len(l.kept) > maxEvents || l.size > maxEventBytes {
		l.size -= len(l.kept[0].text)
		l.kept[0] = event{} // its memory goes at once
		l.kept = l.kept[1:]
	}
}

// after returns up to max bytes of the events that follow an id, at least one if there is
// any; how many between are kept no more; and what is closed once there are others, if
// these are none.
func (l *eventLog) after(id uint64, max int) (events []event, missed uint64, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id >= l.last {
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		return nil, 0, l.changed
	}
	first := l.last - uint64(len(l.kept)) // the id before those kept
	if id < first {
		missed, id = first-id, first
	}
	rest := l.kept[id-first:]
	size := 0
	for n, e := range rest {
		if size += len(e.text); size > max && n > 0 {
			rest = rest[:n]
			break
		}
	}
	return append(events, rest...), missed, nil
}

// bounds returns the id before the oldest event that is kept, and the latest one.
func (l *eventLog) bounds() (before, last uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last - uint64(len(l.kept)), l.last
}

// enter counts one more reader, unless there are as many as there may be.
func (l *eventLog) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.readers >= maxEventReaders {
		return false
	}
	l.readers++
	return true
}

// leave is the reverse of enter.
func (l *eventLog) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.readers--
}

// state returns the latest id, and the texts of the events that are kept, each with a
// line feed: for the program that takes over.
func (l *eventLog) state() (last uint64, lines []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.kept {
		lines = append(append(lines, e.text...), '\n')
	}
	return l.last, lines
}

// restore is the reverse, before anybody reads. What was added by then follows what the
// program before had, under new ids.
func (l *eventLog) restore(last uint64, lines []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	added := l.kept
	l.kept, l.size, l.last = nil, 0, last
	texts := strings.SplitAfter(string(lines), "\n")
	texts = texts[:len(texts)-1] // what follows the last line feed
	for n, text := range texts {
		l.keep(event{last - uint64(len(texts)-1-n), strings.TrimSuffix(text, "\n")})
	}
	for _, e := range added {
		l.last++
		l.keep(numbered(l.last, e.text[strings.IndexByte(e.text, ','):]))
	}
}

// numbered returns an event with what follows the id in its text.
func numbered(id uint64, rest string) event {
	return event{id, `{"id":` + strconv.FormatUint(id, 10) + rest}
}

// eventRest makes the text of an event of a log line, without the id.
func eventRest(level hclog.Level, name string, args []any) string {
	text := append(make([]byte, 0, 256), `,"time":"`...)
	text = append(time.Now().UTC().AppendFormat(text, eventTime), `","level":"`+level.String()+`","name":`...)
	text = append(appendString(text, name), `,"fields":{`...)
	for n := 0; n+1 < len(args); n += 2 {
		if n > 0 {
			text = append(text, ',')
		}
		text = append(appendString(text, fmt.Sprint(args[n])), ':')
		text = appendValue(text, args[n+1])
	}
	return string(append(text, "}}"...))
}

// appendValue appends a value of a log line: a whole number, and true or false, as it is,
// all else as the log has it.
func appendValue(text []byte, value any) []byte {
	switch value.(type) {
	case fmt.Stringer, error: // a time.Duration, though it is a number
	case bool, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return fmt.Append(text, value)
	}
	said := fmt.Sprint(value)
	if len(said) > maxEventValue {
		said = said[:maxEventValue] + "…"
	}
	return appendString(text, said)
}

// appendString appends a string as JSON. What is not UTF-8 is replaced.
func appendString(text []byte, said string) []byte {
	encoded, _ := json.Marshal(said) // a string never fails
	return append(text, encoded...)
}
