package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// voice is a client of the session answering, whatever program it is.
type voice struct {
	in    *bufio.Reader           // what it hears; something must come within a while from when it last spoke
	say   func(text string) error // a line, or a part of one
	leave func() error            // finishes, and waits for the end: nothing may come any more
	rest  time.Duration           // at most so long, now and then

	// What not every one has:
	rekey func(number uint64) error // has it renew its keys, between two lines, one way or the other; or nil
	over  string                    // what its handshake comes to, as wasSecured says it; or empty: whatever it is

	r    *rand.Rand
	mine summing // what was said
}

// converse says lines of all lengths, in parts, and checks all that it hears, until done is
// closed. It counts the lines.
func (v *voice) converse(done <-chan struct{}, seed uint64, lines *atomic.Uint64) error {
	v.r = rand.New(rand.NewPCG(seed, 2))
	if err := v.exchange("tls"); err != nil {
		return err
	}
	for {
		select {
		case <-done:
			if err := v.exchange("tls"); err != nil { // as before
				return err
			}
			return v.leave()
		default:
		}
		if v.rekey != nil && v.r.IntN(4) == 0 {
			if err := v.rekey(v.r.Uint64()); err != nil {
				return err
			}
		}
		if err := v.exchange(v.line()); err != nil {
			return fmt.Errorf("after %d lines: %w", v.mine.lines, err)
		}
		lines.Add(1)
	}
}

// line makes one up.
func (v *voice) line() string {
	line := strconv.FormatUint(v.r.Uint64(), 16) + "-" // s_client does not take it for one of its commands
	switch v.r.IntN(16) {
	case 0:
		line += strings.Repeat(line, v.r.IntN(50<<10)/len(line))
	case 1:
		line += fmt.Sprintf("+%d", v.r.IntN(mostBytes))
	}
	return line
}

// exchange says a line and hears all that it is answered with.
func (v *voice) exchange(line string) error {
	cut := v.r.IntN(len(line))
	for _, part := range []string{line[:cut], line[cut:] + "\n"} {
		// The connection is at rest here, perhaps in the middle of a line: this is when
		// most of them move.
		v.pause()
		if part == "" {
			continue
		}
		if err := v.say(part); err != nil {
			return err
		}
	}
	return v.hear(line)
}

func (v *voice) pause() { time.Sleep(time.Duration(v.r.Int64N(int64(v.rest)))) }

// hear wants the answer to a line.
func (v *voice) hear(line string) error {
	v.mine.add([]byte(line))
	if err := v.hearLine(fmt.Sprintf("%d %d\n", v.mine.lines, v.mine.sum)); err != nil {
		return err
	}
	if line == "tls" {
		if v.over == "" {
			v.over, _ = v.in.ReadString('\n') // if that fails, the next one does
			return nil
		}
		return v.hearLine(v.over)
	}
	want := pseudo(v.mine.sum, more(line))
	got := make([]byte, len(want))
	for _, part := range [][]byte{got[:len(got)/2], got[len(got)/2:]} {
		if len(part) > 0 {
			v.pause() // while output waits
		}
		if n, err := io.ReadFull(v.in, part); err != nil {
			return fmt.Errorf("%d bytes of %d, of %d in all: %w", n, len(part), len(want), err)
		}
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("other bytes than the %d that it asked for", len(want))
	}
	return nil
}

func (v *voice) hearLine(want string) error {
	got, err := v.in.ReadString('\n')
	if err != nil {
		return fmt.Errorf("heard %q: %w", got, err)
	}
	if got != want {
		return fmt.Errorf("heard %q, want %q", got, want)
	}
	return nil
}
