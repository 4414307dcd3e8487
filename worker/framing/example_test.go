package framing_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/framing"
	"github.com/usher-go/usher/worker/workertest"
)

// A whole worker: each line comes back in capitals.
func ExampleHandler() {
	handler := framing.Handler(framing.RawLines(4096), func(c *worker.Conn, line []byte) error {
		_, err := c.Write(bytes.ToUpper(line))
		return err
	})
	if worker.IsWorker() {
		worker.Main(handler)
	}

	client := workertest.New(&testing.T{}, handler).Connect() // as a test does
	client.Send("he", "llo\r\nwor", "ld")
	client.CloseWrite() // the last line needs no ending
	fmt.Printf("%q\n", client.Received())
	// Output: "HELLO\r\nWORLD"
}

var frames = framing.Prefixed(4, binary.BigEndian, 64<<10)

// A meter is a session with state: it answers each frame with how many there were.
type meter struct{ count uint32 }

func (m *meter) Data(c *worker.Conn, in []byte) (int, error) {
	return framing.Each(c, in, frames, m.frame)
}

func (m *meter) frame(c *worker.Conn, _ []byte) error {
	m.count++
	var answer [8]byte // the length of what follows, and that
	binary.BigEndian.PutUint32(answer[:4], 4)
	binary.BigEndian.PutUint32(answer[4:], m.count)
	_, err := c.Write(answer[:])
	return err
}

// A session of one's own, for frames with their length before them.
func ExampleEach() {
	handler := worker.OpenFunc(func(*worker.Conn) (worker.Session, error) { return &meter{}, nil })
	if worker.IsWorker() {
		worker.Main(handler)
	}

	client := workertest.New(&testing.T{}, handler).Connect() // as a test does
	client.Send("\x00\x00\x00\x02hi\x00\x00", "\x00\x00")
	fmt.Printf("%q\n", client.Received())
	// Output: "\x00\x00\x00\x04\x00\x00\x00\x01\x00\x00\x00\x04\x00\x00\x00\x02"
}

// The same split reads the answers in a client.
func ExampleLines() {
	answers := bufio.NewScanner(strings.NewReader("250 ok\r\n251 as well\n252 the last"))
	answers.Split(framing.Lines(80))
	for answers.Scan() {
		fmt.Printf("%q\n", answers.Text())
	}
	fmt.Println(answers.Err())

	long := bufio.NewScanner(strings.NewReader(strings.Repeat("x", 81)))
	long.Split(framing.Lines(80))
	fmt.Println(long.Scan(), long.Err())
	// Output:
	// "250 ok"
	// "251 as well"
	// "252 the last"
	// <nil>
	// false framing: too long: a line of more than 80 bytes
}
