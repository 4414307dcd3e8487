package ipc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
)

// MaxMessage is the longest control message, in bytes.
const MaxMessage = 16 << 10

// Message is one control message. The master sends Hello, Drain, Stop, Move, TicketKeys,
// AccessLog and the questions (Question); a worker Ready, Closed, Moved, Lost, Draining, Metrics,
// AccessLogTaken and the answers (Listed, Answer). Unknown is any other.
type Message interface {
	typeName() string // of the field "type"
	// negative reports whether a number is below zero. All of them are counts or
	// durations: what is negative is malformed, and no reader need ask again.
	negative() bool
}

// Hello is the master's first message.
type Hello struct {
	Protocol      int    `json:"protocol"`
	App           string `json:"app"`             // the built-in app asked for
	MaxConns      int    `json:"max_conns"`       // the most connections it will be sent at a time; 0: up to its capacity
	IdleTimeoutMS int64  `json:"idle_timeout_ms"` // close what is silent for so long; 0: never
	// QueueTimeoutMS: close, unserved, what has waited longer for you since it
	// was accepted (Envelope.Accepted); 0: never.
	QueueTimeoutMS int64  `json:"queue_timeout_ms"`
	Report         string `json:"report"` // ReportIDs, or empty
	// MemoryBytes is how much memory its connections may buffer, all together; 0: not
	// said. MemoryIsDefault: the operator did not say so, and the program may know better.
	MemoryBytes     int64 `json:"memory_bytes,omitempty"`
	MemoryIsDefault bool  `json:"memory_is_default,omitempty"`
	// Transports are those that a connection may come with (Envelope.Transport), by their
	// numbers. They are only sent to a worker that said in Ready that it can do what they
	// ask.
	Transports []Transport `json:"transports,omitempty"`
	// TLS: a memfd with the credentials comes with this packet.
	TLS bool `json:"tls,omitempty"`
	// TLSHandshakeTimeoutMS: a connection whose TLS handshake is not done so long after
	// it was received is closed; 0: not said.
	TLSHandshakeTimeoutMS int64 `json:"tls_handshake_timeout_ms,omitempty"`
	// AccessLog is the format in which a worker that can is to log what it serves
	// (AccessCombined, AccessJSON); empty: it is to log none. The file comes by AccessLog,
	// once it has said so in Ready.
	AccessLog string `json:"access_log,omitempty"`
	// Further is where in the scoreboard's memory the worker may keep its further counters;
	// zero: nowhere.
	Further Place `json:"further,omitzero"`
}

// Transport says what the bytes of a connection with this number pass before they are
// the program's: a PROXY header first, then TLS, or one of them.
type Transport struct {
	Number uint8          `json:"number"`          // 1 to 255
	TLS    bool           `json:"tls,omitempty"`   //
	Cert   string         `json:"cert,omitempty"`  // a name in the certificate for clients that ask for none; empty: the first one
	Proxy  bool           `json:"proxy,omitempty"` //
	Trust  []netip.Prefix `json:"trust,omitempty"` // sources whose PROXY headers are believed
}

// The formats of an access log: a line for each request.
const (
	AccessCombined = "combined" // as nginx and Apache httpd write it
	AccessJSON     = "json"     // an object
)

// ReportIDs in Hello asks the worker for the ids of the connections it closes.
const ReportIDs = "ids"

// Ready is a worker's word that it takes connections. All but Protocol is optional.
type Ready struct {
	Protocol int  `json:"protocol"`
	Capacity int  `json:"capacity,omitempty"` // the most connections it can hold; 0: not said
	Moves    bool `json:"moves,omitempty"`    // it can freeze and thaw connections
	Closes   bool `json:"closes,omitempty"`   // it keeps closed in the scoreboard, or sends Closed
	// TLS: it has taken the credentials that came with Hello, and serves TLS; ALPN are the
	// protocols that it offers, the preferred first. Proxy: it reads PROXY headers.
	TLS   bool     `json:"tls,omitempty"`
	ALPN  []string `json:"alpn,omitempty"`
	Proxy bool     `json:"proxy,omitempty"`
	// AccessLog: it can log what it serves, and takes AccessLog.
	AccessLog bool `json:"access_log,omitempty"`
	// Asks are the questions that it answers: AskList and the others.
	Asks []string `json:"asks,omitempty"`
}

// Metrics tells of measurements of the program's own, which have their numbers in the
// scoreboard: those of the first series of the first Metrics come first. It is said before
// Ready, as often as it takes.
type Metrics struct {
	Series []Series `json:"series"`
}

// TicketKeys brings new keys for session tickets to a worker that said TLS, in a memfd
// that comes with the packet. They take the place of those that it has.
type TicketKeys struct{}

// AccessLog brings the file of the access log to a worker that said AccessLog: its
// descriptor comes with the packet. It takes the place of the one that the worker has, which
// was renamed, or is no longer to be written to. Lines are appended, each whole, to a file
// that others write to as well. Without a Format there is none any more, and no descriptor
// comes.
type AccessLog struct {
	ID     uint64 `json:"id"` // for the answer, AccessLogTaken
	Format string `json:"format,omitempty"`
}

// AccessLogTaken is a worker's word that it has taken what the AccessLog of that ID
// brought: it writes nothing more to the file that it had before.
type AccessLogTaken struct {
	ID uint64 `json:"id"`
}

// Draining is a worker's word that it was asked, not by the master, to finish
// (SIGTERM): it is to be sent nothing more, and replaced.
type Draining struct{}

// Moved is a worker's word, while it drains in mode move, that all have moved
// that can: so many stay until they finish. With an ID it is the answer to the
// Move of that ID: so many have left by it, and no more will.
type Moved struct {
	ID      uint64 `json:"id,omitempty"`
	Count   int    `json:"count,omitempty"`   // of connections that have left; with an ID alone
	Staying int    `json:"staying,omitempty"` // of connections that stay
}

// Closed is the bell (see Entry), or the closes of a worker that does not use
// the scoreboard: Count, or as many as there are IDs when Count is 0. IDs come
// when Hello asked for them, from either kind of worker.
type Closed struct {
	Count int      `json:"count,omitempty"`
	IDs   []uint64 `json:"ids,omitempty"`
}

// MaxIDs is the most IDs in one Closed: they fit into MaxMessage, whatever they are.
const MaxIDs = 512

// Lost is a worker's word that moved connections could not be brought back to
// life, and why the last of them could not: its session's own error. Its entry
// counts them; this is for those who are to know the reason.
type Lost struct {
	Count int    `json:"count"`
	Error string `json:"error"` // at most MaxReason bytes
}

// MaxReason is the longest Error in Lost, in bytes.
const MaxReason = 1024

// Drain asks a worker to come to an end with its connections, and exit with
// status 0.
type Drain struct {
	Mode       string `json:"mode"`
	DeadlineMS int64  `json:"deadline_ms"` // from now; what is open then is closed after flushing. 0: none
}

// The modes of Drain.
const (
	DrainFinish = "finish" // let each connection end by itself
	// DrainMove: give each back through the queue; only to a worker that said
	// Moves. Some may come back: it exits once another Drain has followed, or at
	// the deadline.
	DrainMove = "move"
)

// Move asks a worker that said Moves to give back so many of its connections,
// any that can move now, and to go on with the others. 0, also while it drains:
// no more, to be answered by Moved; and the drain's deadline is over.
//
// ID, if it is not 0, is this move's number: Moved with the same ID answers it, once
// so many have left, or no more can. One move is asked for at a time; Count 0 with the
// ID of one that is not answered yet ends that, and is answered in its place.
type Move struct {
	ID    uint64 `json:"id,omitempty"`
	Count int    `json:"count"`
}

// Stop asks a worker to exit at once.
type Stop struct{}

// Unknown is any message whose type this version does not know. Its reader ignores it.
type Unknown struct {
	Type string `json:"-"`
}

func (Hello) typeName() string          { return "hello" }
func (Ready) typeName() string          { return "ready" }
func (Metrics) typeName() string        { return "metrics" }
func (Draining) typeName() string       { return "draining" }
func (Moved) typeName() string          { return "moved" }
func (Closed) typeName() string         { return "closed" }
func (Lost) typeName() string           { return "lost" }
func (Drain) typeName() string          { return "drain" }
func (Move) typeName() string           { return "move" }
func (Stop) typeName() string           { return "stop" }
func (TicketKeys) typeName() string     { return "ticket-keys" }
func (AccessLog) typeName() string      { return "access-log" }
func (AccessLogTaken) typeName() string { return "access-log-taken" }
func (u Unknown) typeName() string      { return u.Type }

func (m Hello) negative() bool {
	return m.Protocol < 0 || m.MaxConns < 0 || m.IdleTimeoutMS < 0 || m.QueueTimeoutMS < 0 || m.MemoryBytes < 0 ||
		m.TLSHandshakeTimeoutMS < 0 || m.Further.Offset < 0 || m.Further.Length < 0
}
func (m Ready) negative() bool        { return m.Protocol < 0 || m.Capacity < 0 }
func (Metrics) negative() bool        { return false }
func (Draining) negative() bool       { return false }
func (m Moved) negative() bool        { return m.Staying < 0 || m.Count < 0 }
func (m Closed) negative() bool       { return m.Count < 0 }
func (m Lost) negative() bool         { return m.Count < 0 }
func (m Drain) negative() bool        { return m.DeadlineMS < 0 }
func (m Move) negative() bool         { return m.Count < 0 }
func (Stop) negative() bool           { return false }
func (TicketKeys) negative() bool     { return false }
func (AccessLog) negative() bool      { return false }
func (AccessLogTaken) negative() bool { return false }
func (Unknown) negative() bool        { return false }

// parsers is the one list of message types: how each is read.
var parsers = map[string]func([]byte) (Message, error){
	Hello{}.typeName():          parse[Hello],
	Ready{}.typeName():          parse[Ready],
	Metrics{}.typeName():        parse[Metrics],
	Draining{}.typeName():       parse[Draining],
	Moved{}.typeName():          parse[Moved],
	Closed{}.typeName():         parse[Closed],
	Lost{}.typeName():           parse[Lost],
	Drain{}.typeName():          parse[Drain],
	Move{}.typeName():           parse[Move],
	Stop{}.typeName():           parse[Stop],
	TicketKeys{}.typeName():     parse[TicketKeys],
	AccessLog{}.typeName():      parse[AccessLog],
	AccessLogTaken{}.typeName(): parse[AccessLogTaken],
	List{}.typeName():           parse[List],
	Listed{}.typeName():         parse[Listed],
	Stacks{}.typeName():         parse[Stacks],
	Profile{}.typeName():        parse[Profile],
	LogLevel{}.typeName():       parse[LogLevel],
	Answer{}.typeName():         parse[Answer],
}

// BringsDescriptor reports whether a descriptor comes with the message, in the same packet:
// a memfd, or the access log's file. With all others comes none.
func BringsDescriptor(m Message) bool {
	switch m := m.(type) {
	case Hello:
		return m.TLS
	case TicketKeys:
		return true
	case AccessLog:
		return m.Format != ""
	case Answer:
		return m.Memory
	}
	return false
}

func parse[M Message](b []byte) (Message, error) {
	var m M
	err := json.Unmarshal(b, &m)
	if err == nil && m.negative() {
		err = errors.New("negative number")
	}
	return m, err
}

// EncodeMessage returns m as one packet for the control socket. The only error
// is a message longer than MaxMessage: a Closed with more than MaxIDs, or a
// Hello with an App of thousands of bytes or Transports by the hundred.
func EncodeMessage(m Message) ([]byte, error) {
	name, err := json.Marshal(m.typeName())
	if err != nil {
		return nil, fmt.Errorf("ipc: encode %s: %w", m.typeName(), err)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("ipc: encode %s: %w", m.typeName(), err)
	}
	var b bytes.Buffer
	b.WriteString(`{"type":`)
	b.Write(name)
	if len(body) > len("{}") {
		b.WriteByte(',')
	}
	b.Write(body[1:])
	if b.Len() > MaxMessage {
		return nil, fmt.Errorf("ipc: encode %s: %d bytes, at most %d", m.typeName(), b.Len(), MaxMessage)
	}
	return b.Bytes(), nil
}

// ParseMessage reads one packet from the control socket. A type it does not
// know is returned as Unknown, fields it does not know are passed over. An
// error wraps ErrMalformed; more than MaxMessage bytes are one, so that a reader
// with a buffer one byte longer never takes the beginning of a packet for all.
func ParseMessage(b []byte) (Message, error) {
	if len(b) > MaxMessage {
		return nil, fmt.Errorf("ipc: parse message: %w: more than %d bytes", ErrMalformed, MaxMessage)
	}
	var head struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("ipc: parse message: %w: %w", ErrMalformed, err)
	}
	if head.Type == "" {
		return nil, fmt.Errorf("ipc: parse message: %w: no type", ErrMalformed)
	}
	parser := parsers[head.Type]
	if parser == nil {
		return Unknown{Type: head.Type}, nil
	}
	m, err := parser(b)
	if err != nil {
		return nil, fmt.Errorf("ipc: parse %s: %w: %w", head.Type, ErrMalformed, err)
	}
	return m, nil
}
