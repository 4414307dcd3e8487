package worker_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/workertest"
)

// tally counts the lines of one client, also when its connection goes on in another
// worker: there Open makes a tally, and UnmarshalBinary gives that the count.
type tally struct{ lines uint64 }

func (t *tally) Data(c *worker.Conn, in []byte) (int, error) {
	n := bytes.LastIndexByte(in, '\n') + 1 // the rest travels along, too
	t.lines += uint64(bytes.Count(in[:n], []byte("\n")))
	_, err := fmt.Fprintln(c, t.lines, "so far")
	return n, err
}

func (t *tally) MarshalBinary() ([]byte, error) {
	return binary.BigEndian.AppendUint64(nil, t.lines), nil
}

// UnmarshalBinary is given what another program may have written: the one before.
func (t *tally) UnmarshalBinary(state []byte) error {
	if len(state) != 8 {
		return fmt.Errorf("a tally has 8 bytes, not %d", len(state))
	}
	t.lines = binary.BigEndian.Uint64(state)
	return nil
}

// A session whose connection moves, and a test of it.
func ExampleMovableSession() {
	handler := worker.OpenFunc(func(*worker.Conn) (worker.Session, error) { return &tally{}, nil })
	if worker.IsWorker() {
		worker.Main(handler) // does not return
	}

	t := &testing.T{} // that of the test
	client := workertest.New(t, handler).Connect()
	client.Send("a\nb\n", "c\n")
	fmt.Print(client.Received())

	var next tally
	state, err := (&tally{lines: 3}).MarshalBinary()
	fmt.Println(err, next.UnmarshalBinary(state), next.lines)
	fmt.Println(next.UnmarshalBinary(state[:4]))
	// Output:
	// 2 so far
	// 3 so far
	// <nil> <nil> 3
	// a tally has 8 bytes, not 4
}
