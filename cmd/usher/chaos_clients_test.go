package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// patience is how long a client waits for an answer: longer than any worker is
// away, who may be started again after 10 s only.
const patience = 60 * time.Second

// errWrong is wrapped by what is never to be explained: bytes that are not those
// owed.
var errWrong = errors.New("wrong")

// visit is one connection of a client, and what is known of it.
type visit struct {
	story  *chaos
	era    *era
	socket *net.TCPConn
	in     *bufio.Reader
	random *rand.Rand
	mine   summing // what the server must have
	failure
}

// failure is how a visit ended that did not end in order.
type failure struct {
	name     string
	greedy   bool // one of those of whom some are to be refused
	err      error
	peer     netip.AddrPort // the client's address; invalid if it could not connect
	conn     uint64         // 0: no answer has come
	begun    time.Duration  // CLOCK_MONOTONIC, as all of these
	answered time.Duration  // the last answer
	by       int            // and the worker that gave it
	asked    time.Duration  // since when it waits for one; 0: it does not
	at       time.Duration
	holders  []string // who answered, and since when
}

// call connects to the era's server.
func (c *chaos) call(e *era, name string, from net.IP) (*visit, error) {
	v := &visit{story: c, era: e, random: rand.New(rand.NewPCG(rand.Uint64(), 0))} // what it sends decides nothing
	v.name, v.begun = name, monotonic()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: patience, Control: portLater}
	conn, err := dialer.Dial("tcp", e.address)
	if err != nil {
		return v, err
	}
	v.socket, v.in = conn.(*net.TCPConn), bufio.NewReader(conn)
	v.peer = v.socket.LocalAddr().(*net.TCPAddr).AddrPort()
	return v, nil
}

// exchange sends a line in two pieces, between which the connection often moves,
// and checks the answer.
func (v *visit) exchange() error {
	line := strings.Repeat("x", v.random.IntN(200)) + strconv.FormatUint(v.random.Uint64(), 36)
	cut := v.random.IntN(len(line))
	if err := v.send(line[:cut]); err != nil {
		return err
	}
	if err := v.rest(time.Duration(v.random.IntN(20)) * time.Millisecond); err != nil {
		return err
	}
	if err := v.send(line[cut:] + "\n"); err != nil {
		return err
	}
	v.mine.add([]byte(line))
	got, err := v.in.ReadString('\n')
	return v.check(got, err)
}

func (v *visit) send(text string) error {
	v.asked = monotonic()
	if err := v.socket.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := io.WriteString(v.socket, text)
	return err
}

// check compares an answer, or the part of one that came before the end. The
// first one tells the number of the connection.
func (v *visit) check(got string, end error) error {
	if number, _, found := strings.Cut(got, " "); found && v.conn == 0 {
		v.conn, _ = strconv.ParseUint(number, 10, 64) // 0, and so wrong
	}
	want := v.mine.answer(v.conn)
	pid, whole := strings.CutPrefix(got, want)
	switch {
	case end != nil && (whole || strings.HasPrefix(want, got) || v.conn == 0 && !strings.Contains(got, " ")):
		return end
	case !whole:
		return fmt.Errorf("%w: answer %q, want %q and a pid", errWrong, got, want)
	}
	by, err := strconv.Atoi(strings.TrimSuffix(pid, "\n"))
	if err != nil {
		return fmt.Errorf("%w: answer %q, want %q and a pid", errWrong, got, want)
	}
	v.heldBy(by)
	return nil
}

const keptHolders = 10

// heldBy takes note of who answered.
func (v *visit) heldBy(pid int) {
	v.asked, v.answered = 0, monotonic()
	if pid == v.by {
		return
	}
	v.by = pid
	if len(v.holders) == keptHolders {
		v.holders = append(v.holders[:0], v.holders[1:]...)
	}
	v.holders = append(v.holders, fmt.Sprintf("%v worker %d", v.story.since(v.answered), pid))
}

// rest does nothing for a while, or until the era's clients are to leave; and
// sees it if the connection ends.
func (v *visit) rest(d time.Duration) error {
	if !v.story.beginRest(v, d) {
		return nil
	}
	_, err := v.in.Peek(1)
	v.story.endRest(v)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	case err == nil:
		return fmt.Errorf("%w: bytes that nobody asked for", errWrong)
	}
	return err
}

// end finishes sending, and reads to the end.
func (v *visit) end() error {
	v.asked = monotonic()
	if err := errors.Join(v.socket.SetDeadline(time.Now().Add(patience)), v.socket.CloseWrite()); err != nil {
		return err
	}
	rest, err := io.ReadAll(v.in)
	if len(rest) > 0 {
		return fmt.Errorf("%w: at the end %q", errWrong, rest)
	}
	return err
}

// visit makes one visit to the server of now, and returns false when there will
// be none any more.
func (c *chaos) visit(name string, from net.IP, during func(v *visit) error) bool {
	e := c.awaitEra()
	if e == nil {
		return false
	}
	defer e.visits.Done()
	c.visitAt(e, name, from, false, during)
	return true
}

func (c *chaos) visitAt(e *era, name string, from net.IP, greedy bool, during func(v *visit) error) {
	v, err := c.call(e, name, from)
	v.greedy = greedy
	if err == nil {
		defer v.socket.Close()
		err = during(v)
	}
	c.count(v, err)
}

// short exchanges a few lines and leaves, again and again.
func (c *chaos) short(n int) {
	name, from := fmt.Sprintf("short %d", n), net.IPv4(127, 0, 3, byte(1+n))
	for c.visit(name, from, func(v *visit) error {
		for range 1 + v.random.IntN(3) {
			if err := v.exchange(); err != nil {
				return err
			}
		}
		return v.end()
	}) {
		pause(100 * time.Millisecond)
	}
}

// perAddress is how many long or idle clients have an address: far below the
// limit, since those whose workers died are in the books for a while yet.
const perAddress = 4

// long stays, and exchanges all the time.
func (c *chaos) long(n int) {
	c.stay(fmt.Sprintf("long %d", n), net.IPv4(127, 0, 1, byte(1+n/perAddress)), 300*time.Millisecond)
}

// idle stays, and is silent for most of the time.
func (c *chaos) idle(n int) {
	c.stay(fmt.Sprintf("idle %d", n), net.IPv4(127, 0, 2, byte(1+n/perAddress)), sized(10*time.Second, 60*time.Second))
}

func (c *chaos) stay(name string, from net.IP, silence time.Duration) {
	for c.visit(name, from, func(v *visit) error {
		for {
			left := c.leaving(v.era)
			if err := v.exchange(); err != nil {
				return err
			}
			if left {
				return v.end()
			}
			if err := v.rest(time.Duration(v.random.Int64N(int64(silence)))); err != nil {
				return err
			}
		}
	}) {
		pause(100 * time.Millisecond)
	}
}

// greedy is a crowd from one address, of whom more come than are let in, and stay
// until all know.
func (c *chaos) greedy() {
	for {
		e := c.awaitEra()
		if e == nil {
			return
		}
		c.crowd(e, perIP+3)
		e.visits.Done()
		pause(2 * time.Second)
	}
}

// crowd is n clients at once.
func (c *chaos) crowd(e *era, n int) {
	var group, known sync.WaitGroup
	known.Add(n)
	for i := range n {
		group.Go(func() {
			knows := sync.OnceFunc(known.Done)
			defer knows() // it may not get as far as to ask
			c.visitAt(e, fmt.Sprintf("greedy %d", i), greedyAddress, true, func(v *visit) error {
				err := v.exchange()
				knows()
				known.Wait()
				if err != nil {
					return err
				}
				return v.end()
			})
		})
	}
	group.Wait()
}

// pause is a client's own time between two visits.
func pause(most time.Duration) { <-time.After(rand.N(most)) }
