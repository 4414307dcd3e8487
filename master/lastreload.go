package master

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// ReloadStatus is what came of the last reload that is over, as status has it.
type ReloadStatus struct {
	Generation     int       `json:"generation"`       // that it was for
	Result         string    `json:"result"`           // done, partial, refused or failed
	Error          string    `json:"error"`            // empty: there was none
	Moved          uint64    `json:"moved"`            // connections of old workers that went on in new ones
	Drained        uint64    `json:"drained"`          // those that ended in the old ones
	Lost           uint64    `json:"lost"`             // those that could not be restored, or died with a worker
	LongestPauseMS float64   `json:"longest_pause_ms"` // of a connection that moved
	At             time.Time `json:"at"`               // when it was over; RFC 3339
}

// reloadResult is how a reload ended. The numbers are in upgradeState.
type reloadResult int

const (
	reloadDone    reloadResult = iota
	reloadPartial              // the new generation serves, but not all moved that should have
	reloadRefused              // the configuration cannot be used: nothing was started
	reloadFailed               // the new generation did not get ready, or the server stopped first

	reloadResults // how many there are
)

func (r reloadResult) String() string {
	return [...]string{"done", "partial", "refused", "failed"}[r]
}

// reloadCounts are how many reloads ended so, since the start.
type reloadCounts [reloadResults]uint64

// reloadOver keeps what came of a reload, and tells the service manager.
func (s *supervisor) reloadOver(result reloadResult, o outcome, pause time.Duration) {
	why := o.err
	if why == nil {
		why = o.incomplete
	}
	s.lastReload = &ReloadStatus{
		Generation: o.generation, Result: result.String(), Error: text(why), Moved: o.Moved, Drained: o.Drained, Lost: o.Lost,
		LongestPauseMS: float64(pause.Microseconds()) / 1000, At: time.Now().UTC(),
	}
	s.reloads[result]++
	s.sayStatus()
}

// sayStatus tells the service manager how the server is, if it listens and that has
// changed.
func (s *supervisor) sayStatus() {
	if !s.notifier.listens || !s.booted {
		return
	}
	if line := s.statusLine(); line != s.statusSaid {
		s.statusSaid = line
		s.notifier.status(line)
	}
}

// maxStatusLine is the longest line for the service manager, in bytes: an error may say
// much.
const maxStatusLine = 400

// statusLine is how the server is, in one line.
func (s *supervisor) statusLine() string {
	totals, _ := s.dispatch.Snapshot()
	ready := 0
	for slot := range s.slots.all() {
		if slot.life.state() == stateReady && slot.generation == s.generation {
			ready++
		}
	}
	line := fmt.Sprintf("%d workers ready, %d connections, generation %d", ready, totals.Active+totals.Queued, s.generation)
	if last := s.lastReload; last != nil {
		line += fmt.Sprintf("; reload %s at %s", last.Result, last.At.Format(time.RFC3339))
		if last.Error != "" {
			line += ": " + last.Error
		}
	}
	if s.stopping != stopNot {
		line = "stopping; " + line
	}
	return statusText(line)
}

// statusText makes a text one line that a service manager can show: it passes over one that
// is no UTF-8, and what a worker said at its end is not to act on the terminal.
func statusText(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || unicode.IsSpace(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	return strings.ToValidUTF8(text[:min(len(text), maxStatusLine)], "")
}
