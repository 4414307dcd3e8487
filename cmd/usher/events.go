package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

type eventsCommand struct {
	controlFlag `embed:""`

	Since    *uint64 `env:"" placeholder:"ID" help:"Only events after that one; all that are kept without."`
	JSON     bool    `env:"" help:"Print each event as a JSON object, one a line."`
	NoFollow bool    `env:"" help:"End after those that there are now."`
	Level    string  `env:"-" enum:"trace,debug,info,warn,error" default:"trace" help:"Only events that are at least so serious: ${enum}. With info it is what the log has by default."`
}

// Help is what usher events --help adds.
func (eventsCommand) Help() string {
	return `Each transition of workers, reloads, upgrades, scaling, moves, listeners and logs is an event: what the log says of it, whatever --log-level is, with an id. Ids go on through upgrades, and the command follows them.

  usher events --no-follow --level info
  usher events --since 120 --json`
}

// Run prints events until the server ends; through upgrades, which end the stream, and through
// what cuts it off: the master hangs up on a command whose output nobody reads for a while, as
// that of usher events | less.
func (c *eventsCommand) Run() error {
	p := eventPrinter{to: os.Stdout, json: c.JSON, level: hclog.LevelFromString(c.Level)}
	query := fmt.Sprintf("?follow=%t", !c.NoFollow)
	if c.Since != nil {
		p.last = fmt.Sprint(*c.Since)
	}
	var cut error // what the stream before was cut off by; nil: it ended as it should
	for streams := 0; ; streams++ {
		since, last := "", p.last
		if last != "" {
			since = "&since=" + last
		}
		err := readEvents(c.Control, query+since, p.print)
		if _, gone := errors.AsType[*noMaster](err); gone && streams > 0 {
			return cut // without one, it has said all that it had to say
		}
		cut = nil
		if isCut(err) && p.last != last {
			cut, err = err, nil
		}
		if err != nil || c.NoFollow && cut == nil {
			return err
		}
	}
}

// isCut reports whether a stream has broken off, by which nothing is lost: what follows can be
// asked for.
func isCut(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.ECONNRESET)
}

// eventPrinter prints events, one a line.
type eventPrinter struct {
	to    io.Writer
	json  bool
	level hclog.Level // the least that is printed; what is missing always is
	last  string      // the id of the last one; empty: there was none
}

func (p *eventPrinter) print(m eventMessage) error {
	asked := p.last
	p.last = m.id
	if serious, err := p.serious(m); !serious || err != nil {
		return err
	}
	if p.json && m.kind == "" {
		_, err := fmt.Fprintln(p.to, m.data)
		return err
	}
	line, err := eventLine(m, asked)
	if m.kind == "missed" && p.json {
		line = fmt.Sprintf(`{"missed":%s}`, m.data)
	}
	if err == nil {
		_, err = fmt.Fprintln(p.to, line)
	}
	return err
}

// serious reports whether an event is to be printed, by its level.
func (p *eventPrinter) serious(m eventMessage) (bool, error) {
	if m.kind != "" || p.level <= hclog.Trace {
		return true, nil
	}
	var e struct{ Level string }
	if err := json.Unmarshal([]byte(m.data), &e); err != nil {
		return false, fmt.Errorf("the master's events: %w", err)
	}
	return hclog.LevelFromString(e.Level) >= p.level, nil
}

// eventLine is an event for people: as the log has it, after its id. since is the id of
// the one before.
func eventLine(m eventMessage, since string) (string, error) {
	if m.kind == "missed" {
		var missed struct {
			Count       uint64
			OtherServer bool `json:"other_server"`
		}
		err := json.Unmarshal([]byte(m.data), &missed)
		if missed.OtherServer {
			return fmt.Sprintf("%s [MISSED] %s is no id of this server's: events may be missing", m.id, since), err
		}
		return fmt.Sprintf("%s [MISSED] %d events are kept no more", m.id, missed.Count), err
	}
	var e struct {
		Time, Level, Name string
		Fields            json.RawMessage
	}
	if err := json.Unmarshal([]byte(m.data), &e); err != nil {
		return "", fmt.Errorf("the master's events: %w", err)
	}
	line := fmt.Sprintf("%s %s %-7s %s", m.id, e.Time, "["+strings.ToUpper(e.Level)+"]", e.Name)
	fields, err := fieldsOf(e.Fields)
	if len(fields) > 0 {
		line += ": " + strings.Join(fields, " ")
	}
	return line, err
}

// fieldsOf returns the fields of an event as KEY=VALUE, in their order. A value with
// spaces, or other than a log line can have, is quoted.
func fieldsOf(object json.RawMessage) (fields []string, err error) {
	decoder := json.NewDecoder(strings.NewReader(string(object)))
	decoder.UseNumber()
	if _, err := decoder.Token(); err != nil { // the brace
		return nil, fmt.Errorf("the master's events: %w", err)
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("the master's events: %w", err)
		}
		var value any
		if err := decoder.Decode(&value); err != nil {
			return nil, fmt.Errorf("the master's events: %w", err)
		}
		text := fmt.Sprint(value)
		if quoted := fmt.Sprintf("%q", text); strings.ContainsAny(text, " =") || text == "" || quoted != `"`+text+`"` {
			text = quoted
		}
		fields = append(fields, fmt.Sprintf("%v=%s", key, text))
	}
	return fields, nil
}
