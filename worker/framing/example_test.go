package framing_test

import (
	"bytes"
	"encoding/binary"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/framing"
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
}
