package main

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
)

// What an order asks for is told here, for the workers that do it and the clients
// that know what to expect. It knows neither.

// The kinds of orders. Each is a line "KIND WAY N", and a payload follows it where
// the kind has one. Its answer is a line that says which order of the connection
// it was, and of what; and what the kind adds to that.
const (
	kindLine    = 'l' // nothing
	kindBytes   = 'w' // N bytes
	kindFile    = 'f' // N bytes of the file, in two parts, with a line between them and one behind
	kindPayload = 'd' // the payload, of N bytes
	kindHoard   = 'b' // N bytes more for the session to keep, and their sum
	kindTimes   = 'x' // timeouts and timers are set that do not come
	kindShut    = 'h' // no more answers: CloseWrite
	kindClose   = 'c' // Close
	kindAbort   = 'a' // Abort
)

// The ways to answer: at once, or later while the input waits.
const (
	wayNow   = 'n'
	wayPause = 'p' // at once, and then a pause
	wayTimer = 't' // by After, in a pause
	wayPost  = 'o' // by Post, in a pause
	wayWork  = 'g' // by Go
	wayTwice = 'q' // by Go, from which another Go follows
)

const kindsDrawn, waysDrawn = "lllwwfddbx", "nnnnptogq"

const (
	fileSize    = 4 << 20
	mostBytes   = 300 << 10 // above the high-water mark
	mostPayload = 100 << 10 // more than one read
	mostHoard   = 40 << 10  // for an order: more than a packet has room for
)

// pseudo returns bytes that a number stands for.
func pseudo(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = random(seed, 'p').Read(b) // it never fails
	return b
}

// What is written behind the halves of a file.
const afterHalf, afterFile = "half\n", "whole\n"

// order is one of a client's.
type order struct {
	kind, way byte
	n         int
	payload   []byte
}

func (c *order) encode() []byte {
	return append(fmt.Appendf(nil, "%c %c %d\n", c.kind, c.way, c.n), c.payload...)
}

// splitOrder is a bufio.SplitFunc of orders. Of the last one the end of its
// line may be missing.
func splitOrder(in []byte, atEOF bool) (size int, frame []byte, err error) {
	end := bytes.IndexByte(in, '\n')
	size = end + 1
	if end < 0 {
		if !atEOF || len(in) == 0 {
			return 0, nil, nil
		}
		end, size = len(in), len(in)
	}
	c, err := parseOrder(in[:end])
	if err != nil {
		return 0, nil, err
	}
	if c.kind == kindPayload {
		size += c.n
	}
	if size > len(in) {
		return 0, nil, nil
	}
	return size, in[:size], nil
}

func parseOrder(line []byte) (c order, err error) {
	if len(line) < 5 || line[1] != ' ' || line[3] != ' ' {
		return c, fmt.Errorf("an order is %q", line)
	}
	c.kind, c.way = line[0], line[2]
	c.n, err = strconv.Atoi(string(line[4:]))
	return c, err
}

// notes are a session's, which travel with it.
type notes struct {
	Count uint32
	Sum   uint64 // of all orders
	Hoard []byte
	Shut  bool
}

// consequence is what an order comes to.
type consequence struct {
	Answer    []byte
	Off, Size int64 // of the file, after it
	Kind, Way byte
}

// perform takes an order in, and says what is to be done.
func (m *notes) perform(frame []byte) (d consequence, err error) {
	line, payload, _ := bytes.Cut(frame, []byte{'\n'})
	c, err := parseOrder(line)
	if err != nil {
		return d, err
	}
	sum := fnv.New64a()
	fmt.Fprint(sum, m.Sum)
	_, _ = sum.Write(line) // it never fails
	_, _ = sum.Write(payload)
	m.Sum = sum.Sum64()
	m.Count++
	d = consequence{Kind: c.kind, Way: c.way}
	if m.Shut {
		return d, nil
	}
	d.Answer = fmt.Appendf(nil, "%c %d %x\n", c.kind, m.Count, m.Sum)
	switch c.kind {
	case kindBytes:
		d.Answer = append(d.Answer, pseudo(m.Sum, c.n)...)
	case kindFile:
		d.Off = int64(m.Sum % fileSize)
		d.Size = min(int64(c.n), fileSize-d.Off)
	case kindPayload:
		d.Answer = append(d.Answer, payload...)
	case kindHoard:
		m.Hoard = append(m.Hoard, pseudo(m.Sum, c.n)...)
		kept := fnv.New64a()
		_, _ = kept.Write(m.Hoard) // it never fails
		d.Answer = fmt.Appendf(d.Answer, "%d bytes of %x\n", len(m.Hoard), kept.Sum64())
	case kindShut:
		m.Shut = true
	}
	return d, nil
}

// ending is how a client's connection comes to its end.
type ending int

const (
	endInput   ending = iota // it finishes sending, and the server closes
	endMidLine               // likewise, without the end of the last line
	endShut                  // the server has finished before
	endClose                 // the server closes, and then come more bytes
	endAbort                 // the server aborts
	endReset                 // the client does
	endings
)

// errand is what a client sends.
type errand struct {
	orders []order
	ending ending
	in     []byte
}

// newErrand is that of a seed.
func newErrand(r *rand.Rand) *errand {
	s := &errand{ending: ending(r.IntN(int(endings)))}
	for range 1 + r.IntN(40) {
		c := order{kind: kindsDrawn[r.IntN(len(kindsDrawn))], way: waysDrawn[r.IntN(len(waysDrawn))]}
		most := map[byte]int{kindBytes: mostBytes, kindFile: fileSize / 8, kindPayload: mostPayload, kindHoard: mostHoard}[c.kind]
		if c.n = r.IntN(1 + most); r.IntN(6) > 0 {
			c.n %= 1000
		}
		if c.kind == kindPayload {
			c.payload = pseudo(r.Uint64(), c.n)
		}
		s.orders = append(s.orders, c)
	}
	last := order{kind: kindLine, way: waysDrawn[r.IntN(len(waysDrawn))]}
	at := len(s.orders)
	switch s.ending {
	case endShut:
		last.kind, at = kindShut, r.IntN(at+1)
	case endClose:
		last.kind = kindClose
	case endAbort:
		last.kind = kindAbort
	}
	s.orders = append(s.orders[:at], append([]order{last}, s.orders[at:]...)...)
	for i := range s.orders {
		s.in = append(s.in, s.orders[i].encode()...)
	}
	switch s.ending {
	case endMidLine:
		s.in = s.in[:len(s.in)-1]
	case endClose:
		s.in = append(s.in, pseudo(r.Uint64(), r.IntN(100<<10))...)
	}
	return s
}

// want is what the client of an errand is to receive, from a server that has that
// file.
func (s *errand) want(file []byte) (want []byte, err error) {
	var m notes
	for i := range s.orders {
		d, err := m.perform(s.orders[i].encode())
		if err != nil {
			return nil, err
		}
		want = append(want, d.Answer...)
		if half := d.Off + d.Size/2; d.Size > 0 {
			want = append(append(want, file[d.Off:half]...), afterHalf...)
			want = append(append(want, file[half:d.Off+d.Size]...), afterFile...)
		}
	}
	return want, nil
}
