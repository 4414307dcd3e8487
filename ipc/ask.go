package ipc

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/usher-go/usher/fdpass"
)

// What a master may ask a worker for, by the names in Ready.Asks. Each question has an id,
// and gets one answer with the same: a List a Listed, the others an Answer.
//
//	list ──────────────────────────────► listed   some connections, and where to go on
//	stacks, profile ──(a while)────────► answer   and a sealed memfd, or why there is none
//	log-level ─────────────────────────► answer   the level in force
const (
	AskList     = "list"
	AskStacks   = "stacks"
	AskProfile  = "profile"
	AskLogLevel = "log-level"
)

// MaxAnswer is the longest answer that travels in a memfd, in bytes.
const MaxAnswer = 64 << 20

// MaxListed is the most connections that a List asks for.
const MaxListed = 1000

// MaxAbout is the longest ListedConn.About, in bytes.
const MaxAbout = 256

// List asks for some of the worker's connections, in one Listed.
type List struct {
	ID       uint64 `json:"id"`
	Cursor   uint64 `json:"cursor,omitempty"`   // the first position to look at
	Limit    int    `json:"limit"`              // the most to list, 1 to MaxListed
	Listener string `json:"listener,omitempty"` // those of this one alone; empty: all
}

// Listed is the answer to the List of that ID: as many of the connections as fit, and as
// can be found without keeping others waiting. It may have none, and yet a Cursor.
type Listed struct {
	ID          uint64       `json:"id"`
	Connections []ListedConn `json:"connections,omitempty"` // with growing positions
	Cursor      uint64       `json:"cursor,omitempty"`      // the position to go on from; 0: there is no more
	Unlisted    int          `json:"unlisted,omitempty"`    // connections besides, of which nothing can be said
}

// ListedConn is a connection as its worker lists it. What the worker does not know is absent.
type ListedConn struct {
	Position uint64         `json:"position"` // the worker's own number of its place
	ID       uint64         `json:"conn"`     // Envelope.ID
	Listener string         `json:"listener,omitempty"`
	Remote   netip.AddrPort `json:"remote,omitzero"`
	Local    netip.AddrPort `json:"local,omitzero"`
	AgeMS    *int64         `json:"age_ms,omitempty"`  // since it was accepted, by whichever worker it has come
	IdleMS   *int64         `json:"idle_ms,omitempty"` // since a byte last came or went
	Held     int64          `json:"held,omitempty"`    // bytes that the worker buffers for it
	Phase    string         `json:"phase,omitempty"`   // such as handshaking, open, closing
	TLS      bool           `json:"tls,omitempty"`
	Movable  bool           `json:"movable,omitempty"` // it can go to another worker
	About    string         `json:"about,omitempty"`   // what its session says of itself, at most MaxAbout bytes
}

// Stacks asks where each of the worker's threads of execution is, as text: of one in Go,
// the stack of each goroutine.
type Stacks struct {
	ID uint64 `json:"id"`
}

// Profile asks for a profile. Without a Kind it ends the one of that ID, whose answer is
// wanted no more; it comes all the same.
type Profile struct {
	ID      uint64 `json:"id"`
	Kind    string `json:"kind,omitempty"`    // ProfileCPU, ProfileHeap or ProfileTrace
	Seconds int    `json:"seconds,omitempty"` // how long to look, 1 to MaxProfileSeconds; not of ProfileHeap
}

// The kinds of a Profile. What comes is in a format of the worker's language: of one in
// Go what go tool pprof and go tool trace read.
const (
	ProfileCPU   = "cpu"
	ProfileHeap  = "heap"
	ProfileTrace = "trace"
)

// ProfileKinds returns the kinds of a Profile.
func ProfileKinds() []string { return []string{ProfileCPU, ProfileHeap, ProfileTrace} }

// MaxProfileSeconds is how long a Profile may take, in seconds.
const MaxProfileSeconds = 60

// LogLevel has the worker log what is at least that serious, until it is told otherwise.
type LogLevel struct {
	ID uint64 `json:"id"`
	// Level is one of LogLevels, LevelDefault for the one that the worker began with, or
	// empty: it is only to say which it has.
	Level string `json:"level,omitempty"`
}

// LevelDefault in LogLevel is the level that the worker began with.
const LevelDefault = "default"

// LogLevels returns the levels of a log, the least serious first.
func LogLevels() []string { return []string{"trace", "debug", "info", "warn", "error"} }

// Answer answers the question of that ID.
type Answer struct {
	ID     uint64 `json:"id"`
	Error  string `json:"error,omitempty"`  // why there is nothing else; at most MaxReason bytes
	Level  string `json:"level,omitempty"`  // to a LogLevel: the one in force
	Memory bool   `json:"memory,omitempty"` // what was asked for is in a sealed memfd that comes with the packet
}

func (List) typeName() string     { return AskList }
func (Listed) typeName() string   { return "listed" }
func (Stacks) typeName() string   { return AskStacks }
func (Profile) typeName() string  { return AskProfile }
func (LogLevel) typeName() string { return AskLogLevel }
func (Answer) typeName() string   { return "answer" }

func (m List) negative() bool { return m.Limit < 0 }
func (m Listed) negative() bool {
	return m.Unlisted < 0 || slices.ContainsFunc(m.Connections, func(c ListedConn) bool {
		return c.Held < 0 || c.AgeMS != nil && *c.AgeMS < 0 || c.IdleMS != nil && *c.IdleMS < 0
	})
}
func (Stacks) negative() bool    { return false }
func (m Profile) negative() bool { return m.Seconds < 0 }
func (LogLevel) negative() bool  { return false }
func (Answer) negative() bool    { return false }

// Question is a message that gets an answer of its own: List, Stacks, Profile or LogLevel.
type Question interface {
	Message
	// Numbered returns the same with another id.
	Numbered(id uint64) Question
	// AnsweredBy checks a message with the question's id. An error, which says what is
	// wrong, is about a worker that does not keep to the protocol.
	AnsweredBy(m Message) error
}

// Numbered returns the same with another id.
func (m List) Numbered(id uint64) Question { m.ID = id; return m }

// Numbered returns the same with another id.
func (m Stacks) Numbered(id uint64) Question { m.ID = id; return m }

// Numbered returns the same with another id.
func (m Profile) Numbered(id uint64) Question { m.ID = id; return m }

// Numbered returns the same with another id.
func (m LogLevel) Numbered(id uint64) Question { m.ID = id; return m }

var errOtherAnswer = errors.New("it answers something else")

// AnsweredBy wants as many connections as were asked for at most, in order, and a cursor
// behind them.
func (m List) AnsweredBy(answer Message) error {
	listed, ok := answer.(Listed)
	if !ok {
		return errOtherAnswer
	}
	if len(listed.Connections) > m.Limit {
		return fmt.Errorf("it lists %d connections, at most %d were asked for", len(listed.Connections), m.Limit)
	}
	last := m.Cursor // all cursors and positions that follow are beyond
	for i, c := range listed.Connections {
		if c.Position < last || i > 0 && c.Position == last {
			return errors.New("it lists connections out of order")
		}
		if len(c.About) > MaxAbout {
			return fmt.Errorf("it says %d bytes of a connection, at most %d fit", len(c.About), MaxAbout)
		}
		last = c.Position
	}
	if listed.Cursor != 0 && listed.Cursor <= last {
		return errors.New("its list goes round in circles")
	}
	return nil
}

// AnsweredBy wants a memfd, or an error.
func (Stacks) AnsweredBy(answer Message) error { return checkMemory(answer) }

// AnsweredBy wants a memfd, or an error.
func (Profile) AnsweredBy(answer Message) error { return checkMemory(answer) }

func checkMemory(answer Message) error {
	if a, ok := answer.(Answer); !ok || a.Memory == (a.Error != "") {
		return errOtherAnswer
	}
	return nil
}

// AnsweredBy wants a level that there is, or an error.
func (LogLevel) AnsweredBy(answer Message) error {
	a, ok := answer.(Answer)
	if !ok || a.Memory || a.Error == "" && !slices.Contains(LogLevels(), a.Level) {
		return errOtherAnswer
	}
	return nil
}

// AskName returns what a worker that answers a question has in Ready.Asks.
func AskName(q Question) string { return q.typeName() }

// AnswerID returns the id of a message that answers a question; false: it answers none.
func AnswerID(m Message) (id uint64, ok bool) {
	switch m := m.(type) {
	case Listed:
		return m.ID, true
	case Answer:
		return m.ID, true
	}
	return 0, false
}

// SealAnswer returns an owned memfd that holds an answer and can no longer be changed. It may
// be empty. Errors are those of a lack of something, or b is longer than MaxAnswer.
func SealAnswer(b []byte) (fd int, err error) {
	if len(b) > MaxAnswer {
		return -1, fmt.Errorf("ipc: seal answer: %d bytes, at most %d", len(b), MaxAnswer)
	}
	if fd, err = fdpass.Seal("usher-answer", b); err != nil {
		return -1, fmt.Errorf("ipc: seal answer: %w", err)
	}
	return fd, nil
}

// AnswerSize returns how many bytes are in the memfd of an answer, which it borrows: they can
// be read (pread(2)), and do not change any more. One that is no memfd, is not sealed, or is
// longer than MaxAnswer wraps ErrMalformed.
func AnswerSize(fd int) (int64, error) {
	size, err := fdpass.SealedSize(fd, MaxAnswer)
	switch {
	case errors.Is(err, fdpass.ErrNotMemfd), errors.Is(err, fdpass.ErrUnsealed), errors.Is(err, fdpass.ErrTooLong):
		err = fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err != nil {
		return 0, fmt.Errorf("ipc: answer: %w", err)
	}
	return size, nil
}
