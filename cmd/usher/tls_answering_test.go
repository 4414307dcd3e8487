package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/framing"
)

func init() {
	helpers["worker-answering"] = func() {
		worker.Main(worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
			c.SetMaxInput(2 * maxLine) // also of one that has moved
			return &answering{conn: c}, nil
		}))
	}
}

// answering is a session whose answers tell of everything that came before: each line is
// answered with its number and the checksum of all (summing). Its other answers are to
//
//	…+N   N bytes more, which the checksum stands for
//	tls   what the handshake has come to
//
// For curl it wears the dress of HTTP: what comes behind the head of a PUT, whole lines in
// chunks, is answered in a body that ends after the last chunk; and GET /N is answered with N
// blocks, which are made as fast as they are taken.
type answering struct {
	summing
	conn   *worker.Conn
	dress  dress
	block  uint64 // of a download: the next one,
	blocks uint64 // and how many there are
}

type dress int

const (
	dressNone dress = iota
	dressHead       // the head of a request has begun
	dressBody       // it has ended
)

const blockSize = 16 << 10

// block is what the session sends of a download.
func block(n uint64) []byte { return pseudo(n, blockSize) }

// wasSecured is the answer to the line tls.
func wasSecured(version, suite uint16, name string) string {
	return fmt.Sprintf("%s %s %s\n", tls.VersionName(version), tls.CipherSuiteName(suite), name)
}

func (s *answering) Data(c *worker.Conn, in []byte) (int, error) {
	return framing.Each(c, in, rawLines, func(c *worker.Conn, line []byte) error {
		return s.hear(c, strings.TrimSuffix(string(line), "\n"))
	})
}

// hear answers a line.
func (s *answering) hear(c *worker.Conn, line string) error {
	method, path, _ := strings.Cut(line, " ")
	switch {
	case s.dress == dressHead:
		return s.hearHead(c, line)
	case s.lines == 0 && s.dress == dressNone && (method == "PUT" || method == "GET"):
		s.dress = dressHead
		if method == "PUT" {
			return nil
		}
		_, err := fmt.Sscanf(path, "/%d ", &s.blocks)
		return err
	}
	if s.dress == dressBody && strings.HasSuffix(line, "\r") { // what chunks are made of
		if line == "0\r" { // the last one
			return c.Close()
		}
		return nil
	}
	s.add([]byte(line))
	if _, err := fmt.Fprintf(c, "%d %d\n", s.lines, s.sum); err != nil {
		return err
	}
	if line == "tls" {
		state, ok := c.TLS()
		if !ok {
			return errors.New("it has no TLS")
		}
		_, err := c.Write([]byte(wasSecured(state.Version, state.CipherSuite, state.ServerName)))
		return err
	}
	if n := more(line); n > 0 {
		if _, err := c.Write(pseudo(s.sum, n)); err != nil {
			return err
		}
	}
	return nil
}

// more is how many bytes more a line asks for.
func more(line string) (n int) {
	_, number, _ := strings.Cut(line, "+")
	_, _ = fmt.Sscan(number, &n) // else none
	return n
}

// hearHead is given a line of a request's head.
func (s *answering) hearHead(c *worker.Conn, line string) error {
	if line != "\r" {
		return nil
	}
	s.dress = dressBody
	length := ""
	if s.blocks > 0 {
		length = fmt.Sprintf("Content-Length: %d\r\n", s.blocks*blockSize)
	}
	if _, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n%s\r\n", length); err != nil {
		return err
	}
	return s.produce(c)
}

// produce sends blocks until the client is slow to take them.
func (s *answering) produce(c *worker.Conn) error {
	if s.blocks == 0 {
		return nil
	}
	for ; s.block < s.blocks && c.Flowing(); s.block++ {
		if _, err := c.Write(block(s.block)); err != nil {
			return err
		}
	}
	if s.block == s.blocks {
		return c.Close()
	}
	return nil
}

// Low goes on with a download. If that fails, the client sees it.
func (s *answering) Low(c *worker.Conn) { _ = s.produce(c) }

func (s *answering) MarshalBinary() ([]byte, error) {
	return fmt.Appendf(nil, "%d %d %d %d %d", s.lines, s.sum, s.dress, s.block, s.blocks), nil
}

func (s *answering) UnmarshalBinary(b []byte) error {
	_, err := fmt.Sscanf(string(b), "%d %d %d %d %d", &s.lines, &s.sum, &s.dress, &s.block, &s.blocks)
	s.conn.After(0, func() { s.Low(s.conn) })
	return err
}
