// Command chat is an example of a worker: a room in which everybody hears what
// anybody says, line by line, after the address of who said it.
//
//	go build -o chat ./cmd/chat
//	usher serve --listen :9000 --workers 1 -- ./chat
//
// Enter it with telnet, twice or more. A room is the connections of one worker,
// which is as far as Conn.Each reaches; so there is to be one worker. With more
// there are as many rooms, and `--dispatch hash` brings a client back to its own.
package main

import (
	"bytes"
	"fmt"

	"github.com/usher-go/usher/worker"
)

// The bounds of what a guest costs, in bytes.
const (
	longestLine = 4 << 10
	mostUnheard = 1 << 20 // said, and not yet taken by a slow guest
)

func main() {
	worker.Main(worker.DataFunc(say), worker.WithMaxInput(longestLine), worker.WithMaxOutput(mostUnheard))
}

// say tells each whole line to everyone, the speaker included. No lock is
// needed: a worker's callbacks run one at a time.
func say(c *worker.Conn, in []byte) (n int, err error) {
	for {
		size := bytes.IndexByte(in[n:], '\n') + 1
		if size == 0 {
			return n, nil // the rest comes again with more
		}
		line := fmt.Appendf(nil, "%v: %s", c.RemoteAddr(), in[n:n+size])
		c.Each(func(other *worker.Conn) {
			if _, err := other.Write(line); err != nil {
				_ = other.Abort() // it does not keep up, or has left
			}
		})
		n += size
	}
}
