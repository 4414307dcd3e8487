package worker_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/workertest"
)

// hoarder leaves all of its input, and says where it sees some of it.
type hoarder struct{ peeked []string }

func (h *hoarder) Open(c *worker.Conn) (worker.Session, error) {
	h.peek(c, "Open")
	c.After(time.Second, func() { h.peek(c, "After") })
	return h, nil
}

func (h *hoarder) peek(c *worker.Conn, where string) {
	h.peeked = append(h.peeked, fmt.Sprintf("%s %q", where, c.Peek()))
}

func (h *hoarder) Data(c *worker.Conn, in []byte) (int, error) {
	h.peek(c, "Data")
	c.Post(func(*worker.Conn) { h.peek(c, "Post") })
	if !strings.HasSuffix(string(in), "!") {
		return 0, nil
	}
	return len(in), nil
}

func (h *hoarder) EOF(c *worker.Conn, rest []byte) error {
	h.peek(c, "EOF")
	return c.Close()
}

func (h *hoarder) Drain(c *worker.Conn) { h.peek(c, "Drain") }

func (h *hoarder) Close(c *worker.Conn, _ error) { h.peek(c, "Close") }

func TestPeek(t *testing.T) {
	h := &hoarder{}
	w := workertest.New(t, h)
	c := w.Connect()
	c.Send("a", "bc")
	w.Advance(time.Second)
	c.Send("!")
	w.Advance(time.Second)
	c.Send("d")
	w.Drain()
	c.CloseWrite()
	got, want := strings.Join(h.peeked, "; "), strings.Join([]string{
		`Open ""`,
		`Data ""`, `Post "a"`, `Data ""`, `Post "abc"`, `After "abc"`,
		`Data ""`, `Post ""`,
		`Data ""`, `Post "d"`, `Drain "d"`, `EOF ""`, `Close ""`,
	}, "; ")
	if got != want {
		t.Errorf("peeked at %s\nwant %s", got, want)
	}
}

// A length makes room for what it announces; without, it would not fit.
func TestSetMaxInput(t *testing.T) {
	const most = 1000
	sized := worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		text, body, ok := strings.Cut(string(in), ":")
		if !ok {
			return 0, nil
		}
		size, err := strconv.Atoi(text)
		switch {
		case err != nil:
			return 0, err
		case len(body) < size:
			c.SetMaxInput(min(len(text)+1+size, most))
			return 0, nil
		}
		c.SetMaxInput(0)
		_, err = fmt.Fprintf(c, "%d", size)
		return len(text) + 1 + size, err
	})
	tests := []struct {
		name  string
		in    []string
		reply string
		err   error
	}{
		{"fits", []string{"3:", "abc"}, "3", nil},
		{"grows", []string{"500:", strings.Repeat("x", 400), strings.Repeat("x", 100)}, "500", nil},
		{"shrinks again", []string{"100:" + strings.Repeat("x", 99), "x", strings.Repeat("9", 17)}, "100", worker.ErrInputFull},
		{"past the maximum", []string{"2000:", strings.Repeat("x", 990), strings.Repeat("x", 10)}, "", worker.ErrInputFull},
		{"past the worker's", []string{strings.Repeat("9", 16), "9"}, "", worker.ErrInputFull},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := workertest.New(t, sized, worker.WithMaxInput(16)).Connect()
			for i, fragment := range test.in {
				if closed, err := c.Closed(); closed || c.Ended() {
					t.Fatalf("closed before fragment %d, because of %v", i, err)
				}
				c.Send(fragment)
			}
			c.CloseWrite()
			if got := c.Received(); got != test.reply {
				t.Errorf("got %q, want %q", got, test.reply)
			}
			if closed, err := c.Closed(); !closed || !errors.Is(err, test.err) {
				t.Errorf("closed: %v, because of %v; want %v", closed, err, test.err)
			}
		})
	}
}
