package main

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/framing"
)

func init() {
	helpers["worker-doing"] = func() {
		file, err := os.Open(os.Args[2])
		if err != nil {
			panic(err)
		}
		worker.Main(worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
			c.SetMaxInput(2 * mostPayload) // also of one that has moved
			return &doer{c: c, file: file}, nil
		}))
	}
}

// doer is a session that does what orders ask for, in every way that a session
// has. Wherever it moves, it goes on.
type doer struct {
	c     *worker.Conn
	file  *os.File
	notes notes
	owed  *consequence // or nil: what is still to be done, and then the input goes on
	ended bool
}

func (s *doer) Data(c *worker.Conn, in []byte) (int, error) {
	s.mustBeOpen("Data")
	if s.owed != nil {
		panic("input in a pause")
	}
	return framing.Each(c, in, splitOrder, s.do)
}

func (s *doer) EOF(c *worker.Conn, rest []byte) error {
	s.mustBeOpen("EOF")
	return framing.Finish(c, rest, splitOrder, s.do)
}

func (s *doer) Close(c *worker.Conn, _ error) {
	s.mustBeOpen("Close")
	s.ended = true
	if _, err := c.Write([]byte("x")); !errors.Is(err, worker.ErrClosed) {
		panic(fmt.Sprint("Write after the end: ", err))
	}
	if c.Post(func(*worker.Conn) { panic("a post after the end") }) {
		panic("Post after the end")
	}
}

func (s *doer) mustBeOpen(callback string) {
	if s.ended {
		panic(callback + " after Close")
	}
}

// do begins with an order.
func (s *doer) do(c *worker.Conn, frame []byte) error {
	d, err := s.notes.perform(frame)
	if err != nil {
		return err
	}
	switch d.Way {
	case wayNow:
		return s.complete(&d)
	case wayPause:
		err = s.complete(&d)
		c.Pause()
		s.owed = &consequence{}
		c.After(time.Millisecond, s.goOn)
	case wayTimer:
		c.Pause()
		s.owed = &d
		c.After(time.Duration(s.notes.Sum%3)*time.Millisecond, s.goOn)
	case wayPost:
		c.Pause()
		s.owed = &d
		go c.Post(func(*worker.Conn) { s.goOn() }) // in vain if it has moved, or ended
	case wayWork:
		c.Go(func() { s.owed = &d }, s.goOn)
	case wayTwice:
		c.Go(func() { time.Sleep(time.Millisecond) }, func() { c.Go(func() { s.owed = &d }, s.goOn) }) // as a database does
	}
	return err
}

// goOn does what is owed, and lets the input go on.
func (s *doer) goOn() {
	s.mustBeOpen("goOn")
	d := s.owed
	s.owed = nil
	if s.complete(d) == nil { // else it is closing, and the client sees it
		s.c.Resume()
	}
}

// complete answers, in pieces, and does what else there is to it.
func (s *doer) complete(d *consequence) error {
	r := rand.New(random(s.notes.Sum, 'w'))
	for rest := d.Answer; len(rest) > 0; {
		n := 1 + r.IntN(min(len(rest), 1<<r.IntN(19)))
		var err error
		if r.IntN(4) == 0 {
			_, err = s.c.Writev(rest[:n/2], nil, rest[n/2:n])
		} else {
			_, err = s.c.Write(rest[:n])
		}
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	if d.Size > 0 {
		half := d.Size / 2
		if err := errors.Join(s.sendFile(d.Off, half, afterHalf), s.sendFile(d.Off+half, d.Size-half, afterFile)); err != nil {
			return err
		}
	}
	switch d.Kind {
	case kindTimes:
		s.c.SetIdleTimeout(time.Minute)
		s.c.SetReadDeadline(time.Now().Add(time.Minute))
		s.c.After(time.Minute, func() { panic("a timer that was stopped") }).Stop()
	case kindShut:
		return s.c.CloseWrite()
	case kindClose:
		return s.c.Close()
	case kindAbort:
		return s.c.Abort()
	}
	return nil
}

// sendFile sends some of the file, and a line behind it.
func (s *doer) sendFile(off, n int64, line string) error {
	err := s.c.SendFile(s.file, off, n)
	if err == nil {
		_, err = s.c.Write([]byte(line))
	}
	return err
}

// luggage is what travels.
type luggage struct {
	Notes notes
	Owed  *consequence
}

func (s *doer) MarshalBinary() ([]byte, error) {
	s.mustBeOpen("MarshalBinary")
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(luggage{s.notes, s.owed})
	return b.Bytes(), err
}

func (s *doer) UnmarshalBinary(state []byte) error {
	var l luggage
	if err := gob.NewDecoder(bytes.NewReader(state)).Decode(&l); err != nil {
		return err
	}
	s.notes, s.owed = l.Notes, l.Owed
	if s.owed != nil {
		s.c.After(0, s.goOn)
	}
	return nil
}
