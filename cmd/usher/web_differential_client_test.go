package main

import (
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync/atomic"
	"time"
)

// webConn is a client's connection.
type webConn interface {
	net.Conn
	CloseWrite() error
}

// webSide is a client's exchange with one of the servers.
type webSide struct {
	script *webScript
	conn   webConn
	seed   uint64
	moment *webMoment // nil: nothing is done to the server
	got    []byte     // once it has run
	heard  atomic.Int64
	failed bool // it could not send all, once it has run
}

// webPatience is how long a client waits at most for what may not come: 100 Continue, or
// that something is done to the server. Nothing depends on it.
const webPatience = 20 * time.Millisecond

// run sends and receives all, and closes.
func (s *webSide) run() error {
	defer s.conn.Close()
	if err := s.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	sent, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sent)
		s.send(ended)
	}()
	err := s.receive()
	close(ended)
	_ = s.conn.Close() // so that sending ends too
	<-sent
	return err
}

// send sends all in fragments, some when something is done to the server. That it cannot
// send is the server's end, which whoever receives judges.
func (s *webSide) send(ended <-chan struct{}) {
	r := rand.New(random(s.seed, 's'))
	in, pauses, resets := s.script.in, s.script.pauses, s.script.ending == webResets && s.moment != nil
	if resets {
		in = in[:r.IntN(len(in)+1)]
	}
	most, rests, at, heard := 1<<(3+r.IntN(15)), s.rests(r), 0, int64(0)
	for at < len(in) {
		n := 1 + r.IntN(min(len(in)-at, most))
		if len(pauses) > 0 && at+n >= pauses[0] {
			n = pauses[0] - at
		}
		heard = s.heard.Load()
		if _, err := s.conn.Write(in[at : at+n]); err != nil {
			s.failed = true // and who receives may see no more than an end
			return
		}
		at += n
		switch {
		case len(pauses) > 0 && at == pauses[0]:
			pauses = pauses[1:]
			s.hear(heard, ended)
		case rests > 0 && r.IntN(8) == 0:
			rests--
			s.rest()
		}
	}
	switch {
	case resets:
		wire := net.Conn(s.conn)
		if secure, ok := wire.(*tls.Conn); ok {
			wire = secure.NetConn()
		}
		_ = wire.(*net.TCPConn).SetLinger(0) // it may have ended
		_ = wire.Close()                     // likewise
	case s.script.ending == webWaits:
		<-ended
	default:
		_ = s.conn.CloseWrite() // likewise
	}
}

// hear waits until more has been received than there was.
func (s *webSide) hear(there int64, ended <-chan struct{}) {
	pace, over := time.NewTicker(time.Millisecond), time.After(webPatience)
	defer pace.Stop()
	for s.heard.Load() == there {
		select {
		case <-ended:
			return
		case <-over:
			return
		case <-pace.C:
		}
	}
}

// rests is how often it rests.
func (s *webSide) rests(r *rand.Rand) int {
	if s.moment == nil {
		return 0
	}
	return r.IntN(10)
}

// rest rests until something is done to the server.
func (s *webSide) rest() {
	select {
	case <-s.moment.wait():
	case <-time.After(webPatience):
	}
}

// receive receives all that is sent. The error is not io.EOF.
func (s *webSide) receive() error {
	r := rand.New(random(s.seed, 'r'))
	b, rests := make([]byte, 1<<(8+r.IntN(9))), s.rests(r)
	for {
		n, err := s.conn.Read(b)
		s.got = append(s.got, b[:n]...)
		s.heard.Add(int64(n))
		switch {
		case errors.Is(err, io.EOF), err != nil && s.script.ending == webResets && s.moment != nil:
			return nil
		case err != nil:
			return err
		case rests > 0 && r.IntN(8) == 0:
			rests--
			s.rest() // while output waits
		}
	}
}

// mayReset reports whether the server may have ended the connection while there was more
// to be read of it: the last answer says so, or is none.
func (k *webScript) mayReset(want []*webAnswered) bool {
	final := slices.DeleteFunc(slices.Clone(want), (*webAnswered).informs)
	return len(final) == 0 || len(final) < len(k.methods) || final[len(final)-1].ends()
}
